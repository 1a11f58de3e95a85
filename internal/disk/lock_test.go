package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHeldAsksAndLeavesNoTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone", "lock")
	if Held(path) {
		t.Error("nobody holds it")
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("asking has made the folder")
	}
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if !Held(path) {
		t.Error("it is held")
	}
	l.Unlock()
	if Held(path) {
		t.Error("it is free")
	}
	shared, err := LockShared(t.Context(), path, Wait{For: "it"})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Unlock()
	if Held(path) {
		t.Error("a shared lock is none that keeps others out")
	}
}

// Whoever waited for a lock whose file was removed, with its object, starts over with the new file.
func TestAWaiterNoticesThatTheLockWasRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan string)
	got := make(chan *Lock)
	go func() {
		l, err := LockWait(t.Context(), path, Wait{For: "it", Begin: func(holder string) { waiting <- holder }})
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	<-waiting
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	first.Unlock()
	second := <-got
	defer second.Unlock()
	if !Held(path) {
		t.Error("the waiter holds a file that nobody else can see")
	}
}

// What lies in a lock's place is replaced, by one of those who come for it, and nothing beyond it is touched.
func TestWhatIsNoLockFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "lock"), filepath.Join(dir, "target")
	for kind, damage := range map[string]func() error{
		"a FIFO":   func() error { return unix.Mkfifo(path, 0o600) },
		"a folder": func() error { return os.MkdirAll(filepath.Join(path, "x", "y"), 0o700) },
		"a link": func() error {
			return errors.Join(os.WriteFile(target, []byte("content"), 0o600), os.Symlink(target, path))
		},
		"a link to nothing":  func() error { os.Remove(target); return os.Symlink(target, path) },
		"a link to itself":   func() error { return os.Symlink(path, path) },
		"a link to a folder": func() error { return os.Symlink(dir, path) },
		"a socket":           func() error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
	} {
		os.RemoveAll(path)
		if err := damage(); err != nil {
			t.Fatal(kind, err)
		}
		if err := Await(t.Context(), path); err != nil || Held(path) {
			t.Errorf("%s: somebody holds it (%v)", kind, err)
		}
		var holders, most atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := LockWait(t.Context(), path, Wait{For: kind, Patience: time.Minute})
				if err != nil {
					t.Errorf("%s: %v", kind, err)
					return
				}
				if n := holders.Add(1); n > most.Load() {
					most.Store(n)
				}
				l.Note()
				holders.Add(-1)
				l.Unlock()
			})
		}
		wg.Wait()
		if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() || most.Load() != 1 {
			t.Errorf("%s: it is %v (%v), with %d holders at once", kind, fi.Mode(), err, most.Load())
		}
		b, err := os.ReadFile(target)
		if kind == "a link" && string(b) != "content" || kind == "a link to nothing" && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: what it led to is %q, %v", kind, b, err)
		}
		os.WriteFile(target, nil, 0o600)
	}
}

// TestHelper is another process that holds a lock.
func TestHelper(t *testing.T) {
	path := os.Getenv("PODC_TEST_LOCK")
	if path == "" {
		t.Skip("for the other tests")
	}
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
	l.Unlock()
}

// heldByAnother has another process hold the lock at path until the test ends, and returns its id.
func heldByAnother(t *testing.T, path string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "PODC_TEST_LOCK="+path)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "held" {
			return cmd.Process.Pid
		}
	}
	t.Fatal("it holds nothing")
	return 0
}

func TestAWaitEndsAndSaysForWhatAndWhom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := fmt.Sprintf("pid %d (%s -test.run=^TestHelper$ -test.v)", heldByAnother(t, path), filepath.Base(os.Args[0]))
	for _, lock := range []func(context.Context, string, Wait) (*Lock, error){LockWait, LockShared, func(ctx context.Context, path string, w Wait) (*Lock, error) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return LockFile(ctx, f, w)
	}} {
		began := ""
		_, err := lock(t.Context(), path, Wait{For: `pod "web"`, Patience: time.Millisecond, Begin: func(holder string) { began = holder }})
		if want := `waited 1ms for pod "web", held by ` + holder; err == nil || err.Error() != want || began != holder {
			t.Errorf("it says %q, and %v, want %q", began, err, want)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("interrupted"))
		_, err = lock(ctx, path, Wait{For: "it", Patience: time.Hour})
		cancel()
		if want := "waited for it, held by " + holder + ": interrupted"; err == nil || err.Error() != want {
			t.Errorf("it says %v, want %q", err, want)
		}
	}
}

// A wait that takes longer than a moment is told to whoever asked to be told, once.
func TestALongWaitIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string)
	ctx := ReportWaits(t.Context(), func(what, holder string) { told <- what + ", " + holder })
	got := make(chan error)
	go func() {
		l, err := LockWait(ctx, path, Wait{For: "it", Patience: time.Hour})
		l.Unlock()
		got <- err
	}()
	if text := <-told; text != "it, this command itself" {
		t.Errorf("it is told %q", text)
	}
	held.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// A wait that was given up is over once the lock is free; the lock of an object that has gone must not come back then.
func TestAWaitGivenUpMakesNoLockAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := lock(ctx, path, unix.LOCK_EX); l != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", l, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is there: %v", err)
	}
}
