package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long one thing may take. The machine is slow, and so may be the host.
const (
	bootDeadline    = 10 * time.Minute
	commandDeadline = 10 * time.Minute
)

// Machine is one that runs. It reaches nothing, and nothing reaches it but ssh from this host. What it writes is forgotten with it.
type Machine struct {
	disk  Disk
	dir   string // of this run: what was written, the console, ssh's connection
	share string
	port  int // of ssh, on 127.0.0.1
	qemu  *exec.Cmd
	ended chan struct{} // closed with the end of qemu
}

// Start starts a machine with an unchanged disk, which has the folder share at /mnt/host, read-only, and waits until it can be logged
// in to. It ends with Stop, or with this process, however that ends.
func Start(ctx context.Context, d Disk, share string) (*Machine, error) {
	dir, err := os.MkdirTemp("", "podc-vm-") // short: a socket lies in it
	if err != nil {
		return nil, err
	}
	m := &Machine{disk: d, dir: dir, share: share}
	err = run(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", d.file("disk.raw"), "-F", "raw", m.file("live.qcow2"))
	if err == nil {
		err = m.powerOn(ctx)
	}
	if err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

func (m *Machine) file(name string) string { return filepath.Join(m.dir, name) }

func (m *Machine) powerOn(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	m.port, m.ended = port, make(chan struct{})
	// One processor: with several, each emulated by a thread, a kernel that replaces its own code at times runs into what was there
	// before, and panics.
	m.qemu = exec.Command("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "3G",
		"-kernel", m.disk.file("vmlinuz"), "-initrd", m.disk.file("initrd.img"), "-append", "console=ttyS0 mitigations=off panic=1",
		"-drive", "if=virtio,format=qcow2,file="+m.file("live.qcow2"),
		"-nic", fmt.Sprintf("user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", port),
		"-virtfs", "local,security_model=none,readonly=on,mount_tag=host,path="+m.share,
		"-serial", "file:"+m.file("console.log"))
	var stderr bytes.Buffer
	m.qemu.Stderr = &stderr
	m.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent with the end of the thread
		err := m.qemu.Start()
		started <- err
		if err == nil {
			m.qemu.Wait()
		}
		close(m.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	if err := m.awaitLogin(ctx, ""); err != nil {
		return fmt.Errorf("the machine did not start: %w\n%s%s", err, &stderr, m.Console())
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

const bootID = "cat /proc/sys/kernel/random/boot_id"

// awaitLogin waits until the machine lets root in, and runs another boot than the one named.
func (m *Machine) awaitLogin(ctx context.Context, before string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootDeadline, fmt.Errorf("nobody could log in within %s", bootDeadline))
	defer cancel()
	for {
		boot, err := m.Run(ctx, "root", bootID)
		if err == nil && boot != before {
			return nil
		}
		m.hangUp()
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-m.ended:
			return errors.New("the emulator has ended")
		case <-time.After(time.Second):
		}
	}
}

// Run runs a script with bash, which ends at the first error, as a user: root's share one session, others log in each time and out
// again. It returns what was printed on standard output, trimmed; what was printed on standard error is in the error.
func (m *Machine) Run(ctx context.Context, user, script string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandDeadline, fmt.Errorf("it did not end within %s", commandDeadline))
	defer cancel()
	args := append(m.sshOptions(), user+"@127.0.0.1", "bash --norc -eo pipefail -c "+quote(script))
	if user == "root" {
		args = append([]string{"-o", "ControlMaster=auto", "-o", "ControlPersist=yes"}, args...)
	} else {
		args = append([]string{"-o", "ControlPath=none"}, args...)
	}
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.WaitDelay = 10 * time.Second // ssh's master, in the background, has the streams too
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	out := strings.TrimSpace(stdout.String())
	if err != nil {
		return out, fmt.Errorf("%w\n%s", err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

func (m *Machine) sshOptions() []string {
	var args []string
	for _, o := range []string{"ControlPath=" + m.file("ssh"), "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR",
		"BatchMode=yes", "ConnectTimeout=60", "ServerAliveInterval=30", "ServerAliveCountMax=10"} {
		args = append(args, "-o", o)
	}
	return append(args, "-i", m.disk.file("key"), "-p", strconv.Itoa(m.port))
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// hangUp ends root's session.
func (m *Machine) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	exec.CommandContext(ctx, "ssh", append(m.sshOptions(), "-O", "exit", "root@127.0.0.1")...).Run()
}

// Reboot has systemd reboot the machine, and waits until it can be logged in to again. The processes that it must kill show on the
// console.
func (m *Machine) Reboot(ctx context.Context) error {
	before, err := m.Run(ctx, "root", bootID)
	if err != nil {
		return err
	}
	if _, err := m.Run(ctx, "root", "systemctl --no-block reboot"); err != nil {
		return err
	}
	m.hangUp()
	return m.awaitLogin(ctx, before)
}

// PowerCut ends the machine as a power cut does, and starts it again with what is on its disk.
func (m *Machine) PowerCut(ctx context.Context) error {
	m.powerOff()
	return m.powerOn(ctx)
}

func (m *Machine) powerOff() {
	if m.qemu == nil {
		return
	}
	m.hangUp()
	if m.qemu.Process != nil {
		m.qemu.Process.Kill()
	}
	<-m.ended
	m.qemu = nil
}

// Stop ends the machine, and forgets what was on its disk. Idempotent.
func (m *Machine) Stop() error {
	m.powerOff()
	return os.RemoveAll(m.dir)
}

// Console is the last of what the machine printed while it started or ended.
func (m *Machine) Console() string {
	b, _ := os.ReadFile(m.file("console.log"))
	return string(b[max(0, len(b)-3000):])
}
