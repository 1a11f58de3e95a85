#!/bin/busybox sh
# The first process: mounts the disk, and hands over to systemd on it.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
for module in /modules/*; do
	$busybox insmod "$module"
done
tries=0
until [ -b /dev/vda ] || [ $tries -gt 200 ]; do
	$busybox sleep 0.1
	tries=$((tries + 1))
done
$busybox mount -t ext4 -o noatime /dev/vda /root || exec $busybox sh
$busybox umount /proc
$busybox umount /sys
$busybox mount --move /dev /root/dev
exec $busybox switch_root /root /sbin/init
