package kernel

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"podc.example/podc/internal/disk"
)

// Login is the login uid that the kernel's audit log has for what a process and its children do: of the person who logged in,
// whoever they have become since. 4294967295 is nobody, as for what the machine itself starts; "" is not known, or a kernel
// without it.
type Login string

// OwnLogin is that of this process.
var OwnLogin = sync.OnceValue(func() Login {
	b, _ := disk.ReadOnce("/proc/self/loginuid")
	return Login(strings.TrimSpace(string(b)))
})

// Start starts cmd with login uid l, so that what a monitor does for a container is put down to who started the container, and not
// to who started the monitor. Where the kernel forbids the change (auditctl --loginuid-immutable, or without CAP_AUDIT_CONTROL)
// cmd has that of this process.
func (l Login) Start(cmd *exec.Cmd) error {
	if l == "" || l == OwnLogin() {
		return cmd.Start()
	}
	done := make(chan error)
	go func() {
		// It is one of the thread, which its children inherit. Never unlocked, the thread ends with the goroutine.
		runtime.LockOSThread()
		os.WriteFile("/proc/thread-self/loginuid", []byte(l), 0)
		done <- cmd.Start()
	}()
	return <-done
}
