package engine

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// A monitor that is just ending shuts its door on who asks it: that is no answer, and who asks does so again.
func TestAMonitorThatEndsIsAskedAgain(t *testing.T) {
	e := plainEngine(t)
	if err := os.MkdirAll(e.Monitors().Dir("t"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(e.Monitors().Dir("t"), "sock"))
	if err != nil {
		t.Skip(err) // the temporary folder's name is too long
	}
	defer l.Close()
	var asked atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var req MonitorRequest
			if json.NewDecoder(conn).Decode(&req) == nil && (req.Op == "ping" || asked.Add(1) > 3) {
				reply := MonitorReply{}
				if req.ID == "unknown" {
					reply.Error = "no such attachment"
				}
				json.NewEncoder(conn).Encode(reply)
			}
			conn.Close()
		}
	}()
	if err := e.Monitors().serveNames(t.Context(), "t", "id"); err != nil {
		t.Errorf("after three refusals: %v", err)
	}
	before := asked.Load()
	if err := e.Monitors().serveNames(t.Context(), "t", "unknown"); err == nil || asked.Load() > before+2 {
		t.Errorf("what it answered was asked again %d times: %v", asked.Load()-before, err)
	}
}
