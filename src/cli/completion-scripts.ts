/**
 * What shells are given to complete `lateen`: each asks the hidden command `__complete` for candidates, one per line, and takes file
 * names when there is none. Fixed texts: nothing is put into them.
 */

const BASH = `# bash completion for lateen: source <(lateen completion bash)
_lateen() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($(lateen __complete -- "\${words[@]}" 2>/dev/null))
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _lateen lateen
`;

const ZSH = `#compdef lateen
# zsh completion for lateen: source <(lateen completion zsh)
_lateen() {
  local -a candidates
  candidates=("\${(@f)$(lateen __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then compadd -- "\${candidates[@]}"; else _files; fi
}
compdef _lateen lateen
`;

const FISH = `# fish completion for lateen: lateen completion fish | source
function __lateen_candidates
  set -l words (commandline -opc) (commandline -ct)
  lateen __complete -- $words[2..-1] 2>/dev/null
end
complete -c lateen -f -a '(__lateen_candidates)'
complete -c lateen -n '__fish_seen_argument -s f -l filename' -F
`;

/** Scripts by shell. */
export const COMPLETION_SCRIPTS: ReadonlyMap<string, string> = new Map([
  ['bash', BASH],
  ['zsh', ZSH],
  ['fish', FISH],
]);
