#!/bin/sh
# All static checks of this checkout; the last line is `lint: PASS` if they pass.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin  # on a CI host the tools are on PATH
[ -x "$bin/ruff" ] || bin=$(dirname "$(command -v ruff)")
step() { printf 'lint: %s\n' "$1"; }

step 'ruff format'
"$bin/ruff" format --check --quiet .
step 'ruff check'
"$bin/ruff" check --quiet .
step 'mypy'
"$bin/mypy" --no-error-summary
step 'shellcheck'
git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run sandbox/images |
  while read -r file; do
    if head -n 1 "$file" | grep -qE '^#!.*/(env )?(ba|da)?sh'; then printf '%s\0' "$file"; fi
  done | xargs -0 -r shellcheck
step 'yamllint'
git ls-files --cached --others --exclude-standard -z -- '*.yml' '*.yaml' |
  xargs -0 -r yamllint --strict
echo 'lint: PASS'
