package helper

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"podc.example/podc/internal/disk"
)

// A memo is an answer of a helper kept in the run root, so that commands on an unchanged project start no helper. It counts
// only while everything that shaped the answer is unchanged: the question with its working directory, the whole environment,
// the helper's binary, and every file read or looked for. A memo that is damaged or does not count is as good as none.
type memo[T any] struct {
	Format  int          `json:"format"`
	Environ string       `json:"environ"`
	Inputs  []disk.Stamp `json:"inputs"`
	Answer  T            `json:"answer"`
}

// memoFormat changes with the meaning of the file.
const memoFormat = 1

// memosKept bounds the folder: the oldest go first.
const memosKept = 200

// clockGrain bounds how coarse a file system's clock is: two writes within it may leave equal stamps.
const clockGrain = 20 * time.Millisecond

// Memos is the folder of the memos of one helper, and what they are checked against.
type Memos struct {
	dir     string
	helper  string // path of its binary, an input of every answer
	environ string
}

// Memos returns the memos of p below a run root for its environment. key keeps the digest of the environment from being guessed.
func (p Program) Memos(runRoot string, key []byte) Memos {
	mac := hmac.New(sha256.New, key)
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		mac.Write([]byte(name + "=" + p.Env[name] + "\x00"))
	}
	return Memos{filepath.Join(runRoot, "memo"), p.Path, hex.EncodeToString(mac.Sum(nil))}
}

// file is where the answer to a question lies. Questions are plain data.
func (m Memos) file(question any) string {
	b, _ := json.Marshal(question)
	sum := sha256.Sum256(append(b, m.helper...))
	return filepath.Join(m.dir, hex.EncodeToString(sum[:16])+".json")
}

// Recall returns the answer to a question if it is known and still holds.
func Recall[T any](m Memos, question any) (answer T, ok bool) {
	var got memo[T]
	if disk.ReadJSON(m.file(question), &got) != nil || got.Format != memoFormat || got.Environ != m.environ || len(got.Inputs) == 0 {
		return answer, false
	}
	for _, was := range got.Inputs {
		if !was.Fresh() {
			return answer, false
		}
	}
	return got.Answer, true
}

// Keep stores the answer to a question that was asked at the time given, with the paths that shaped it. An input written at
// about that time is not trusted to differ visibly from what was read, and the answer is not kept. Failing to store is no
// error: the next command asks again.
func Keep[T any](m Memos, question any, answer T, inputs []string, asked time.Time) {
	got := memo[T]{Format: memoFormat, Environ: m.environ, Answer: answer}
	for _, path := range append([]string{m.helper}, inputs...) {
		s, err := disk.StampOf(path)
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
func (m Memos) prune() {
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
