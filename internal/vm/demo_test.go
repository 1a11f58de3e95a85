package vm_test

import (
	"os"
	"path/filepath"
)

// demo is the project of the README: nginx before three replicas of an app, which keep rows in PostgreSQL.
func demo(m machine) {
	m.load("probe", "nginx", "postgres")
	files := map[string]string{}
	for _, name := range []string{"compose.yaml", "proxy.conf", "db_password.txt"} {
		b, err := os.ReadFile(filepath.Join("../../testdata/demo", name))
		if err != nil {
			m.Fatal(err)
		}
		files[name] = string(b)
	}
	podc := "cd " + m.project("demo", files) + " && podc "
	const (
		states  = "ps --format '{{.Service}} {{.State}} {{.Health}}' | sort"
		healthy = "app running healthy\napp running healthy\napp running healthy\ndb running healthy\nweb running healthy"
		page    = "curl -sS --retry 10 --retry-connrefused --retry-delay 2 --max-time 60 http://127.0.0.1:8080/"
	)
	m.behaves("a user who logs out leaves it running", func(m machine) {
		m.as("dev", "cd /srv/demo && sudo podc up -d --wait")
		m.root("loginctl terminate-user dev || true")
		m.says(podc+states, healthy)
	})
	m.behaves("rows go into the database", func(m machine) {
		m.root("curl -sS -f --max-time 60 -d 'a row in PostgreSQL' http://127.0.0.1:8080/rows")
		m.root(page + "/ | grep 'a row in PostgreSQL'")
	})
	m.behaves("what dies is restarted only if that is asked for, and what ails is seen", func(m machine) {
		m.root(podc + "kill -s STOP db")
		m.root("until " + podc + "ps db --format '{{.Health}}' | grep -q unhealthy; do sleep 5; done")
		m.root(podc + "kill -s CONT db")
		m.root(podc + "up -d --wait")
		m.says(podc+states, healthy)
	})
	m.behaves("a power cut costs no row", func(m machine) {
		m.powerCut()
		// Nothing in the project has a restart policy.
		m.root(podc + "up -d --wait")
		m.says(podc+states, healthy)
		m.root(page + "/ | grep 'a row in PostgreSQL'")
		m.says("podc system check", "")
	})
	m.root(podc + "down -v -t 5")
}
