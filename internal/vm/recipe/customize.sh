#!/bin/sh
# customize.sh ROOT KEY: makes a machine of the packages in ROOT, where root and the user dev log in with KEY (public).
set -eu
root=$1 key=$2

echo vm >"$root/etc/hostname"
printf '127.0.0.1 localhost vm\n::1 localhost vm\n' >"$root/etc/hosts"
cat >"$root/etc/fstab" <<-END
	/dev/vda  /          ext4  noatime                                          0 1
	host      /mnt/host  9p    trans=virtio,version=9p2000.L,ro,msize=262144    0 0
END
mkdir -p "$root/mnt/host"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/10-dhcp.network"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"

chroot "$root" useradd -m -s /bin/bash dev
echo 'dev ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/dev"
for home in root home/dev; do
	install -D -m 600 "$key" "$root/$home/.ssh/authorized_keys"
done
chroot "$root" chown -R dev:dev /home/dev/.ssh
printf 'UseDNS no\nMaxSessions 50\n' >"$root/etc/ssh/sshd_config.d/vm.conf"

chroot "$root" systemctl enable -q systemd-networkd systemd-resolved ssh auditd apparmor
# Each is a check of its own that starts it, or takes time that nobody waits for gladly.
for unit in firewalld apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap fstrim.timer; do
	chroot "$root" systemctl disable -q "$unit" 2>/dev/null || true
done
