#!/bin/sh
# The command line of the simulator: command_line.sh PROGRAM
program=$1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0

# expect CODE LINES_OF_STDOUT LINES_OF_STDERR ARGUMENT... ; a number of lines may be "any".
expect() {
  wanted="$1 $2 $3"
  shift 3
  "$program" "$@" >"$folder/out" 2>"$folder/err"
  code=$?
  out=$(wc -l <"$folder/out" | tr -d ' ')
  err=$(wc -l <"$folder/err" | tr -d ' ')
  case $wanted in *" any "*) out=any ;; esac
  case $wanted in *" any") err=any ;; esac
  if [ "$code $out $err" != "$wanted" ]; then
    echo "$*: exit code, lines of stdout and of stderr are $code $out $err, not $wanted"
    cat "$folder/err"
    failed=1
  fi
}

# says TEXT FILE
says() {
  if ! grep -q -e "$1" "$folder/$2"; then
    echo "'$1' is not in $2:"
    head -n 5 "$folder/$2"
    failed=1
  fi
}

# Wrong words: one line on stderr, exit code 2.
expect 2 0 1
expect 2 0 1 dance
expect 2 0 1 run --nonsense
expect 2 0 1 run --nodes 1
expect 2 0 1 run --nodes many
expect 2 0 1 run --seed -1
expect 2 0 1 run --seed 18446744073709551616
expect 2 0 1 run --minutes 0
expect 2 0 1 run --transport pigeon
expect 2 0 1 run --until-event soon
expect 2 0 1 run --faults loss,losses
says "'losses'" err
says "swallow_puts" err
expect 2 0 1 campaign
expect 2 0 1 campaign --seeds 3..1
expect 2 0 1 campaign --seeds 1..3 --jobs 0
expect 2 0 1 campaign --seeds 1..3 --time-limit never
expect 2 0 1 campaign --seed-file "$folder/none"
expect 2 0 1 attack --aim nobody
expect 2 0 1 attack --defence perhaps
expect 2 0 1 attack --seeds 3..1
expect 2 0 1 predict
expect 2 0 1 predict --events "$folder/none"
says "no such folder" err
expect 2 0 1 predict --events "$folder"
says "0.jsonl: cannot be read" err
expect 2 0 1 predict --events "$folder" --rtt 0
expect 0 any 0 --help
expect 0 any 0 campaign --help

# A run, its trace, and its first half.
expect 0 any 0 run --nodes 4 --minutes 0.1 --seed 7 --transport datagram --faults none --trace "$folder/trace"
says "^trace [0-9a-f]\{16\}$" out
says '"fate":"delivered","kind":"first_flight"' trace
expect 0 any 0 run --nodes 4 --minutes 0.1 --seed 7 --transport datagram --faults none --until-event 500
says "stopped, as asked, after event 500" out
expect 1 any any run --nodes 4 --minutes 0.1 --seed 7 --transport datagram --faults none --trace /dev/full
says "cannot write /dev/full" err

# A campaign.
printf '# found by nobody\n7 nothing\n' >"$folder/seeds"
expect 0 1 0 campaign --json --seeds 1..2 --seed-file "$folder/seeds" --nodes 4 --minutes 0.1 --faults none
says '^{"seeds":3,' out
says '"failing":\[\]' out
printf '# none\n' >"$folder/seeds"
expect 1 any 0 campaign --seed-file "$folder/seeds"
says "no seed has run" out

# A real swarm of three nodes, with a figure that no swarm has.
mkdir "$folder/real"
node() {  # node NUMBER PEER_ID
  echo '{"event":"listening","ms":0.5,"mono_ms":1'"$1"'0.5,"peer_id":"'"$2"'"}' >"$folder/real/$1.jsonl"
  [ "$1" = 0 ] && return
  echo '{"event":"announced","ms":330,"mono_ms":440,"r":3}' >>"$folder/real/$1.jsonl"
  echo '{"event":"complete","ms":400,"mono_ms":510,"shards":3}' >>"$folder/real/$1.jsonl"
}
node 0 12D3KooWAo7vq2aES4HYXKYFPn75MQva6dWvzrVqjVD6HW82KLNB
node 1 12D3KooWGSN4EAsCmRfK7tPLeg8BLxRLsgbkKBqFb1MeRxkLrya9
node 2 12D3KooWHx79mUsBg8X9KNhGZrqLNiA2uDyBzMTioMmzGXE4cfmp
node 3 12D3KooWFuUek9C2fBo8QvE7k1rViAETmQodR8HurQymtbpCHtxh
expect 2 0 1 predict --events "$folder/real"
says "1.jsonl: no event says 'put'" err
for op in put get; do
  echo '{"event":"bench","ms":900,"mono_ms":1010,"op":"'$op'","n":3,"p50":1}' >>"$folder/real/1.jsonl"
done
echo '{"event":"bench","ms":900,"mono_ms":1010,"op":"put","n":9,"p50":1}' >>"$folder/real/2.jsonl"
expect 1 1 0 predict --events "$folder/real"
says '^{"nodes":3,"rtt_ms":76.0,"put_p50_ms":{"real":1.0,"simulated":7[6-9]' out
says '"good":false}$' out
expect 2 0 1 predict --events "$folder/real" --cluster a/b
echo '{"event":' >>"$folder/real/3.jsonl"
expect 2 0 1 predict --events "$folder/real"
says "3.jsonl, line 4: is no JSON object" err

exit $failed
