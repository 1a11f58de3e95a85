# What a container of podc may do, where it asks for no other profile. Namespaces, capabilities and the filter of system calls say most
# of it; this keeps it from what in /proc and /sys is the machine's, and from other processes, should one of those have a hole.
profile podc-default flags=(attach_disconnected, mediate_deleted) {
  capability,
  file,
  network,
  unix,
  umount,

  # Whoever may signal or watch a container may; its own processes may not those of the machine. They may have other names than this
  # one: with no-new-privileges the kernel adds this profile to those of the runtime and of programs by their path.
  signal,
  deny signal send peer=unconfined,
  ptrace,
  deny ptrace (read, trace) peer=unconfined,

  # What could show the host's files under another name.
  deny mount,

  # /proc: processes, and those settings that each namespace has of its own.
  deny /proc/* w,
  deny /proc/[^1-9s]*/** w,
  deny /proc/scsi/** w,
  deny /proc/sys/[^fkn]*/** w,
  deny /proc/sys/fs/{[^m]*,m[^q]*}{,/**} w,
  deny /proc/sys/kernel/{[^ms]*,m[^s]*,s[^eh]*,se[^m]*}{,/**} w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # /sys: cgroups, as far as they are mounted writable.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/{[^c]*,c[^g]*}/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
