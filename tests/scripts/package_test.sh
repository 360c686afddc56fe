#!/usr/bin/env bash
# Makes the Debian package of a build, unpacks it into a scratch root, and runs its programs there.
# Usage: package_test.sh BUILD_FOLDER
build=$(cd "$1" && pwd)
# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command -v dpkg-shlibdeps >/dev/null || { echo "skipped: dpkg-dev is not installed" && exit 77; }

(umask 077 && cd "$build" &&
  cpack -G DEB -B "$work/package" -D "CPACK_PACKAGE_CONTACT=A User <user@debian.org>") >"$work/log" 2>&1 ||
  { cat "$work/log" && exit 1; }
packages=("$work"/package/hipgpt_*.deb)
run dpkg-deb --field "${packages[0]}"
expect_status 0 && expect_output "Package: hipgpt" && expect_output "Maintainer: A User <user@debian.org>"
expect_output "libc6" && expect_output "libstdc++6"
dpkg-deb -x "${packages[0]}" "$work/root"
cd "$work/root/usr"
cmp share/doc/hipgpt/copyright "$repository/LICENSE" || fail "the licence is missing"
for file in share/doc/hipgpt/THIRD_PARTY_NOTICES share/man/man1/{train_gpt,generate}.1.gz \
  share/zsh/vendor-completions/_generate share/bash-completion/completions/train_gpt share/fish/vendor_completions.d/generate.fish include/hipgpt/gpt_model.h; do
  [[ -s $file ]] || fail "the package has no $file"
done
run find . ! -perm -o=r
[[ -z $output ]] || fail "some files cannot be read by everyone"
run find . -type f -exec grep -l "$repository" {} +
[[ -z $output ]] || fail "some files contain the name of the folder that they were built in"
ok "the files of the package"

for i in {1..200}; do echo "to be or not to be, that is question $i"; done >"$work/text.txt"
cd "$work"
run root/usr/bin/train_gpt --data-path text.txt --vocab-size 270 --dim 8 --heads 2 --layers 1 --ff 8 --seq 8 --steps 2 \
  --device cpu
expect_status 0
run root/usr/bin/generate --prompt "to be" --num-tokens 3
expect_status 0 && expect_output "to be"
ok "the programs of the package"

if command -v lintian >/dev/null; then
  run lintian --allow-root --fail-on error,warning "${packages[0]}"
  expect_status 0
  ok "lintian"
fi
