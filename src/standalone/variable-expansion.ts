/**
 * $(NAME) in commands and environment values, as Kubernetes reads it: known names are replaced, `$$(NAME)` stands for the text
 * itself, unknown names stay as they are. One pass: what a value brings in is not expanded again.
 */

/** Expands every $(NAME) of a text. */
export function expandVariables(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (values.get(name) ?? whole),
  );
}
