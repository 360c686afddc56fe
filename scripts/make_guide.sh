#!/usr/bin/env bash
# Makes one HTML page of the guide's chapters, to read without a network.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # for `sh scripts/make_guide.sh`
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/make_guide.sh [FILE]

Writes the chapters of the guide (src/README.md) to FILE, by default build/guide.html: one page with its figures and
formulas, in light and dark colours, which needs no network. Needs pandoc.
TEXT
}

case ${1:-} in
  --help | -h) usage && exit 0 ;;
  -*) echo "make_guide.sh: unknown argument '$1' (--help lists them)" >&2 && exit 2 ;;
esac

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=${1:-$root/build/guide.html}
if ! command -v pandoc >/dev/null; then
  echo "make_guide.sh: pandoc is not installed; on Debian or Ubuntu: sudo apt-get install pandoc" >&2
  exit 1
fi
mkdir -p "$(dirname "$output")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The chapters in the order of the table in src/README.md, each file once.
mapfile -t chapters < <(sed -nE 's/^\| ([0-9]+|A) \| \[[^]]*\]\(([^)#]+)\).*/\2/p' "$root/src/README.md" | awk '!seen[$0]++')
((${#chapters[@]} > 0)) || { echo "make_guide.sh: src/README.md has no table of chapters" >&2 && exit 1; }

# A chapter's headings get the chapter's name before their anchors, so that `by-hand` is unique. Links between chapters become
# links within the page; links to other files of the project stay as text. Figures get the path from the root.
cat >"$work/chapter.lua" <<'LUA'
local chapters, folder, here = {}, os.getenv("GUIDE_FOLDER"), os.getenv("GUIDE_CHAPTER")
for path in os.getenv("GUIDE_CHAPTERS"):gmatch("%S+") do chapters[path] = true end

local function anchor(path, name) return (path:gsub("[/.]", "-")) .. (name ~= "" and "--" .. name or "") end

local function normal(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." and #parts > 0 then table.remove(parts) elseif part ~= "." then table.insert(parts, part) end
  end
  return table.concat(parts, "/")
end

local first = true
function Header(header)
  header.identifier = first and anchor(here, "") or anchor(here, header.identifier)
  first = false
  return header
end

function Link(link)
  if link.target:match("^%a+:") then return link end
  local path, name = link.target:match("^([^#]*)#?(.*)$")
  path = path == "" and here or normal(folder .. "/" .. path)
  if not chapters[path] then return link.content end
  link.target = "#" .. anchor(path, name)
  return link
end

function CodeBlock(block)
  block.attributes.tabindex = "0"  -- so that the arrow keys can scroll a long line
  return block
end

function Para(paragraph)  -- of a figure alone
  if #paragraph.content == 1 and paragraph.content[1].t == "Image" then return pandoc.Div(paragraph, { class = "figure" }) end
end

function Image(image)
  image.src = normal(folder .. "/" .. image.src)
  return image
end
LUA

cat >"$work/style.html" <<'CSS'
<style>
:root { --paper: #fff; --ink: #1c2230; --muted: #5b6472; --line: #d4d9e1; --code: #f3f5f8; --link: #0b5cad }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161d; --ink: #e3e7ee; --muted: #9ba5b4; --line: #2c3440; --code: #1b2029; --link: #6cb0f5 }
}
html { background: var(--paper); color: var(--ink); font: 17px/1.6 Charter, Georgia, 'DejaVu Serif', serif; color-scheme: light dark }
body { max-width: 48rem; margin: 0 auto; padding: 2rem 1.2rem 6rem; overflow-wrap: break-word; hyphens: none }
h1, h2, h3, nav, th { font-family: system-ui, 'DejaVu Sans', sans-serif; line-height: 1.25 }
h1 { margin: 5rem 0 1rem; padding-top: 1.5rem; border-top: 1px solid var(--line) }
h2 { margin-top: 2.5rem } nav ul { list-style: none; padding-left: 1rem } nav > ul { padding: 0 }
a { color: var(--link) } img { max-width: 100%; height: auto } .figure { margin: 1.5rem 0; overflow-x: auto }
code, pre { font: .86em/1.5 ui-monospace, 'DejaVu Sans Mono', Menlo, monospace; background: var(--code); border-radius: 4px }
code { padding: .1em .3em } pre { padding: .9rem; overflow-x: auto; font-size: .8em } pre code { padding: 0; font-size: 1em; white-space: pre }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .92em } th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top }
math[display=block] { overflow-x: auto; padding: .4rem 0 } details { margin: 1rem 0; padding: .6rem 1rem; border: 1px solid var(--line); border-radius: 6px }
summary { cursor: pointer } #title-block-header { margin-bottom: 2rem } .title { border: 0; margin: 0; padding: 0 }
@media (max-width: 40rem) { .figure img { max-width: none; width: 40rem }
  html { font-size: 16px } body { padding: 1rem .9rem 4rem } h1 { margin-top: 3rem } }
@media print { pre code { white-space: pre-wrap } h1 { break-before: page; border: 0 } nav { break-after: page } }
</style>
CSS

export GUIDE_CHAPTERS=""
for chapter in "${chapters[@]}"; do GUIDE_CHAPTERS+="src/$chapter "; done
parts=()
for chapter in "${chapters[@]}"; do
  part=$work/$(printf '%02d' "${#parts[@]}").json
  GUIDE_CHAPTER=src/$chapter GUIDE_FOLDER=$(dirname "src/$chapter") pandoc --from gfm+tex_math_dollars \
    --lua-filter "$work/chapter.lua" --to json --output "$part" "$root/src/$chapter"
  parts+=("$part")
done
(cd "$root" && pandoc --from json --to html5 --standalone --self-contained --mathml --toc --toc-depth 1 --no-highlight \
  --metadata title="HipGPT: a guide to the inner workings of large language models" --metadata lang=en \
  --include-in-header "$work/style.html" --include-before-body <(echo '<main>') --include-after-body <(echo '</main>') \
  --output "$output" "${parts[@]}")
echo "make_guide.sh: $output ($(wc -c <"$output" | tr -d ' ') bytes)"
