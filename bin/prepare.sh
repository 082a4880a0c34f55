# Sourced by the launchers: finds the checkout, and on a fresh one installs what the lock file names.
# Sets ROOT and NODE. Costs two file comparisons when everything is in place.
self=$0
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname "$self")/$link ;; esac
done
ROOT=$(cd "$(dirname "$self")/.." && pwd)
NODE=$ROOT/node_modules/.bin/node
stamp=$ROOT/node_modules/.lateen-lock.json

if ! cmp -s "$ROOT/package-lock.json" "$stamp"; then
  command -v npm >/dev/null 2>&1 || { echo "lateen: npm is missing; install Node 20 or newer with npm" >&2; exit 1; }
  lock=$ROOT/.cache/prepare.lock
  mkdir -p "$ROOT/.cache"
  tries=0
  until mkdir "$lock" 2>/dev/null; do
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then rm -rf "$lock"; continue; fi
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "lateen: $lock is held for ten minutes; remove it if no install is running" >&2; exit 1; }
    sleep 1
  done
  echo $$ >"$lock/pid"
  trap 'rm -rf "$lock"' EXIT
  trap 'rm -rf "$lock"; exit 130' INT TERM
  if ! cmp -s "$ROOT/package-lock.json" "$stamp"; then
    echo "Installing dependencies and the pinned Node (once) ..." >&2
    if ! (cd "$ROOT" && npm ci --no-audit --no-fund --loglevel=error >"$ROOT/.cache/npm-ci.log" 2>&1); then
      cat "$ROOT/.cache/npm-ci.log" >&2
      echo "lateen: npm ci failed; see above" >&2
      exit 1
    fi
    cp "$ROOT/package-lock.json" "$stamp"
  fi
  rm -rf "$lock"
  trap - EXIT INT TERM
fi
[ -x "$NODE" ] || NODE=$(command -v node)
