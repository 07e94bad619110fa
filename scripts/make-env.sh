#!/bin/sh
# Makes .env out of .env.example: each value that is empty there becomes 48 random hex digits. An .env that is there stays.
set -eu
cd "$(dirname "$0")/.."
umask 077
if [ -e .env ]; then
  printf '%s\n' "There is an .env already: remove it for new secrets, and the volumes that were made with the old ones." >&2
  exit 1
fi
trap 'rm -f .env.new' EXIT
trap 'exit 1' HUP INT TERM
while IFS= read -r line; do
  case $line in
  \#*) ;;
  *=) line=$line$(od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n') ;;
  esac
  printf '%s\n' "$line"
done <.env.example >.env.new
mv .env.new .env
