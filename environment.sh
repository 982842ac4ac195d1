# Sourced by run.sh and test.sh: a local environment from requirements.lock, made once, remade when the lock changes.
# PYTHON chooses the interpreter (3.11), LAMOFC_VENV the folder.
venv=${LAMOFC_VENV:-.venv}
stamp=$venv/.lock-sha256
wanted=$(sha256sum requirements.lock | cut -d' ' -f1)

make_environment() {
  local python=${PYTHON:-python3.11} index
  command -v "$python" >/dev/null || python=python3
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11" >&2
    return 1
  }
  echo "making the environment in $venv (once, one to three minutes) ..." >&2
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9 || return 1
  # uv does not read pip's configuration: pass on the indexes and folders this machine's pip is told to use
  local options=(--index-strategy unsafe-best-match)
  for index in $("$venv/bin/pip" config get global.extra-index-url 2>/dev/null); do options+=(--extra-index-url "$index"); done
  for index in $("$venv/bin/pip" config get global.find-links 2>/dev/null); do options+=(--find-links "$index"); done
  index=$("$venv/bin/pip" config get global.index-url 2>/dev/null) && options+=(--index-url "$index")
  "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "${options[@]}" -r requirements.lock ||
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.lock || return 1
  echo "$wanted" > "$stamp"
}

[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] || make_environment
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
export PATH="$venv/bin:$PATH" PYTHONPATH="$PWD/workflow/scripts${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
# Containers often set it; then every call and every worker would compile Snakemake and torch again, for seconds.
unset PYTHONDONTWRITEBYTECODE
