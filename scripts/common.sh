# Shared by the scripts of this folder; source it, do not run it.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cores=$(nproc 2>/dev/null || echo 2)
export DEBIAN_FRONTEND=noninteractive

# What the swarm needs, and what the tests need beyond it. Names of Debian 12.
packages_swarm=(g++ cmake ninja-build pkg-config libsodium-dev nettle-dev libasio-dev libexpected-dev libprotozero-dev
  nlohmann-json3-dev libcli11-dev liburing-dev)
packages_test=("${packages_swarm[@]}" liblmdb-dev clang-19 libclang-rt-19-dev llvm-19 clang-format-19 doctest-dev
  libbenchmark-dev gcovr python3 git)
# What the benchmarks need beyond the swarm: rivals, pictures, namespaces. Nobody else does.
packages_bench=("${packages_swarm[@]}" liblmdb-dev python3 libbenchmark-dev liburing-dev libopendht-dev libtorrent-rasterbar-dev
  gnuplot-nox iproute2 util-linux)

say() { echo "kadoro: $*" >&2; }
die() {
  say "$*"
  exit 1
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ensure_packages NAME... : installs what is missing with apt. All chatter goes to build/setup.log, shown if it fails.
ensure_packages() {
  command -v dpkg-query >/dev/null || {
    say "this is not a Debian system; install the equivalents of: $*"
    return 0
  }
  local missing=() name
  for name in "$@"; do is_installed "$name" || missing+=("$name"); done
  [ ${#missing[@]} -gt 0 ] || return 0

  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
      die "missing packages, and neither root nor sudo without a password; run as root: apt-get install ${missing[*]}"
    as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
  fi
  say "installing ${missing[*]}"
  local apt=("${as_root[@]}" apt-get -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  quietly setup "${apt[@]}" update || die "apt-get update failed: is the network there?"
  quietly setup "${apt[@]}" install --no-install-recommends "${missing[@]}" ||
    die "apt-get install failed; wanted: ${missing[*]}"
}

# quietly LOG COMMAND... : runs it with its output in build/LOG.log; on failure the end of the log goes to stderr.
quietly() {
  local log=$root/build/$1.log
  shift
  mkdir -p "$root/build"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    say "failed: $* (whole log: $log)"
    return 1
  fi
}
