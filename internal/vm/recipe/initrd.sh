#!/bin/sh
# initrd.sh ROOT OUT INIT: an initrd for the kernel in ROOT that holds busybox, the modules of the disk, and INIT. Debian's own takes
# minutes to make and to start in emulation.
set -eu
root=$1 out=$2 init=$3
release=$(ls "$root/lib/modules")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/modules" "$work/proc" "$work/sys" "$work/dev" "$work/root"
cp "$root/bin/busybox" "$work/bin/busybox"
install -m 755 "$init" "$work/init"

# modprobe names a module's files in the order in which they are to be loaded; those that are built in have none.
for module in virtio_pci virtio_blk crc32c_generic ext4; do
	chroot "$root" modprobe --set-version "$release" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod //p' || true
done | awk '!seen[$1]++ { print $1 }' >"$work/list"
n=100
while read -r file; do
	name=$n-$(basename "$file" | sed 's/\.ko.*/.ko/')
	case $file in
	*.xz) xz -dc "$root/$file" ;;
	*.zst) zstd -qdc "$root/$file" ;;
	*) cat "$root/$file" ;;
	esac >"$work/modules/$name"
	n=$((n + 1))
done <"$work/list"
rm "$work/list"
(cd "$work" && find . | busybox cpio -o -H newc -R 0:0 2>/dev/null) | gzip -1 >"$out"
