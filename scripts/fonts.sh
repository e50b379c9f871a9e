#!/usr/bin/env bash
# Makes dashboard/static/fonts from Source Sans 3 and Source Code Pro, as Fontsource packs them: the letters of Latin-1,
# weights from 400 to 650; those with accents are a file of their own, for who has any. All others are those of the reader's
# system. Needs npm, Python and its packages fonttools and brotli; nobody else does: the files are checked in.
set -euo pipefail
cd "$(dirname "$0")/../dashboard/static/fonts"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
accented=U+00C0-00FF
letters=U+0020-007E,U+00A0,U+00B1,U+00B2,U+00B5,U+00B7,U+00D7,U+2009,U+2011,U+2013,U+2014,U+2018,U+2019,U+201C,U+201D,U+2026,U+202F,U+20AC,U+2191,U+2193,U+2212

# unpack PACKAGE@VERSION FILE: the file of a package, as a font that can be changed.
unpack() {
  npm pack --silent --pack-destination "$work" "$1" >/dev/null
  tar -xzf "$work"/*.tgz -C "$work" && rm "$work"/*.tgz
  cp "$work/package/LICENSE" "$work/license"
  fonttools ttLib.woff2 decompress -o "$work/font.ttf" "$work/package/files/$2" 2>/dev/null
}

# subset LETTERS IN OUT: without hints, kerning, names and other features: half of the bytes.
subset() {
  pyftsubset "$2" --unicodes="$1" --layout-features= --no-hinting --desubroutinize --name-IDs= --drop-tables+=STAT,meta \
    --flavor=woff2 --output-file="$3"
  echo "$(stat -c %s "$3") bytes: $3"
}

unpack @fontsource-variable/source-sans-3@5.3.1 source-sans-3-latin-wght-normal.woff2
fonttools varLib.instancer --quiet "$work/font.ttf" wght=400:650 -o "$work/weights.ttf"
subset "$letters" "$work/weights.ttf" sans.woff2
subset "$accented" "$work/weights.ttf" sans-accented.woff2
unpack @fontsource/source-code-pro@5.3.1 source-code-pro-latin-400-normal.woff2
subset "$letters,$accented" "$work/font.ttf" mono.woff2
cp "$work/license" LICENSE.txt
