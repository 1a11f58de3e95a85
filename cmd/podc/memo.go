package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"podc.example/podc/internal/disk"
)

// A memo is an answer of a helper kept in the run root, so that commands on an unchanged project start no helper. It counts
// only while everything that shaped the answer is unchanged: the question with its working directory, the whole environment,
// the helper's binary, and every file read or looked for. A memo that is damaged or does not count is as good as none.
type memo[T any] struct {
	Format  int     `json:"format"`
	Environ string  `json:"environ"`
	Inputs  []stamp `json:"inputs"`
	Answer  T       `json:"answer"`
}

// memoFormat changes with the meaning of the file.
const memoFormat = 1

// memosKept bounds the folder: the oldest go first.
const memosKept = 200

// stamp tells whether a file is the one seen before. Its zero values beside Path mean that there is none.
type stamp struct {
	Path  string `json:"path"`
	Inode uint64 `json:"inode,omitempty"`
	Size  int64  `json:"size,omitempty"`
	MTime int64  `json:"mtime,omitempty"` // nanoseconds
	CTime int64  `json:"ctime,omitempty"` // nanoseconds; changes with any write, rename or change of mode
}

// stampOf stamps the file at path. Errors other than absence mean that nothing can be said about it.
func stampOf(path string) (stamp, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	switch {
	case errors.Is(err, syscall.EINTR):
		return stampOf(path)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return stamp{Path: path}, nil
	case err != nil:
		return stamp{}, err
	}
	return stamp{Path: path, Inode: st.Ino, Size: st.Size, MTime: st.Mtim.Nano(), CTime: st.Ctim.Nano()}, nil
}

// clockGrain bounds how coarse a file system's clock is: two writes within it may leave equal stamps.
const clockGrain = 20 * time.Millisecond

// memos is the folder of the memos of one helper, and what they are checked against.
type memos struct {
	dir     string
	helper  string // path of its binary, an input of every answer
	environ string
}

// newMemos returns the memos below a run root for one environment. key keeps the digest of the environment from being
// guessed.
func newMemos(runRoot, helper string, env map[string]string, key []byte) memos {
	mac := hmac.New(sha256.New, key)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		mac.Write([]byte(name + "=" + env[name] + "\x00"))
	}
	return memos{filepath.Join(runRoot, "memo"), helper, hex.EncodeToString(mac.Sum(nil))}
}

// file is where the answer to a question lies. Questions are plain data.
func (m memos) file(question any) string {
	b, _ := json.Marshal(question)
	sum := sha256.Sum256(append(b, m.helper...))
	return filepath.Join(m.dir, hex.EncodeToString(sum[:16])+".json")
}

// recall returns the answer to a question if it is known and still holds.
func recall[T any](m memos, question any) (answer T, ok bool) {
	var got memo[T]
	if disk.ReadJSON(m.file(question), &got) != nil || got.Format != memoFormat || got.Environ != m.environ || len(got.Inputs) == 0 {
		return answer, false
	}
	for _, was := range got.Inputs {
		if now, err := stampOf(was.Path); err != nil || now != was {
			return answer, false
		}
	}
	return got.Answer, true
}

// keep stores the answer to a question that was asked at the time given, with the paths that shaped it. An input written at
// about that time is not trusted to differ visibly from what was read, and the answer is not kept. Failing to store is no
// error: the next command asks again.
func keep[T any](m memos, question any, answer T, inputs []string, asked time.Time) {
	got := memo[T]{Format: memoFormat, Environ: m.environ, Answer: answer}
	for _, path := range append([]string{m.helper}, inputs...) {
		s, err := stampOf(path)
		if err != nil || s.CTime > asked.Add(-clockGrain).UnixNano() {
			return
		}
		got.Inputs = append(got.Inputs, s)
	}
	b, err := json.Marshal(got)
	if err != nil || os.MkdirAll(m.dir, 0o700) != nil {
		return
	}
	if disk.WriteFile(m.file(question), b, 0o600, disk.Volatile) == nil {
		m.prune()
	}
}

// prune removes the oldest memos beyond memosKept.
func (m memos) prune() {
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) <= memosKept {
		return
	}
	age := func(e fs.DirEntry) time.Time {
		if fi, err := e.Info(); err == nil {
			return fi.ModTime()
		}
		return time.Time{}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return age(a).Compare(age(b)) })
	for _, e := range entries[:len(entries)-memosKept] {
		os.Remove(filepath.Join(m.dir, e.Name()))
	}
}
