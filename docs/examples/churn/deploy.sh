#!/bin/sh
# Puts the model where the service reads it, in one step: readers see the old file or the new one.
# usage: deploy.sh model.txt live
set -eu

mkdir -p "$2"
cp "$1" "$2/model.txt.new"
mv "$2/model.txt.new" "$2/model.txt"
