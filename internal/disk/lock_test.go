package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
	shared, err := LockShared(path)
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
	waiting := make(chan int)
	got := make(chan *Lock)
	go func() {
		l, err := LockWait(t.Context(), path, func(holder int) { waiting <- holder })
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

func TestAWaitEndsWithItsContextAndSaysForWhom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	l.Note()
	ctx, cancel := WithDeadline(t.Context(), time.Millisecond, "the other")
	defer cancel()
	_, err = LockWait(ctx, path, nil)
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if Holder(path) != os.Getpid() {
		t.Errorf("holder is %d", Holder(path))
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
