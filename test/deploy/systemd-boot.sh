#!/bin/sh
# Process 1 of namespaces of its own in the lab's guest: makes ROOT the root and becomes its systemd.
#   systemd-boot.sh ROOT NODE PACKAGE SHARE
set -e
root=$1 node=$2 package=$3 share=$4
cd "$root"
mount --bind . .
cd "$root"
mount --bind "$node" usr/local/bin/node
mount --bind "$package" usr/local/lib/node_modules/netlink-xfrm
for name in etc run tmp var host; do mount -t tmpfs tmpfs "$name"; done
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t proc proc proc
mount --bind "$share" host
mkdir -p etc/systemd/system var/log/journal
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\nsystemd-journal:x:101:\n' >etc/group
printf 'passwd: files systemd\ngroup: files systemd\n' >etc/nsswitch.conf
printf '0123456789abcdef0123456789abcdef\n' >etc/machine-id
cp "$package/contrib/netlink-xfrm.service" etc/systemd/system/
printf '[Unit]\nRequires=systemd-journald.service\nAfter=systemd-journald.service\n' >etc/systemd/system/test.target
mkdir run/old
pivot_root . run/old
umount -l /run/old
rmdir /run/old
# As the manager of a container does: systemd passes credentials on by mounts.
mount --make-rshared /
exec env -i container=lab PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
  /lib/systemd/systemd --unit=test.target --log-target=journal </dev/null >/dev/null 2>&1
