package vm_test

import (
	"os"
	"path/filepath"
)

// patience gives programs time to start, since the machine is slow, and has them come back.
const patience = `
x-check: &check {interval: 20s, start_interval: 5s, timeout: 1m, start_period: 10m}
services:
  web: {restart: always, healthcheck: *check}
  app: {restart: always, healthcheck: *check}
  db: {restart: always, healthcheck: *check}
`

// demo is the project of the README: nginx before three replicas of an app, which keep rows in PostgreSQL.
func demo(m machine) {
	m.load("probe", "nginx", "postgres")
	files := map[string]string{"compose.override.yaml": patience}
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
		page    = "curl -sS --retry 60 --retry-all-errors --retry-delay 5 --max-time 60 http://127.0.0.1:8080/"
	)
	m.behaves("a user who logs out leaves it running", func(m machine) {
		m.as("dev", "cd /srv/demo && sudo podc up -d --wait")
		m.root("loginctl terminate-user dev || true")
		m.says(podc+states, healthy)
	})
	m.behaves("rows go into the database", func(m machine) {
		m.root("curl -sS -f --max-time 60 -d 'a row in PostgreSQL' http://127.0.0.1:8080/rows")
		m.root(page + " | grep 'a row in PostgreSQL'")
	})
	m.behaves("what dies is restarted", func(m machine) {
		m.root(`kill -9 $(podc container inspect -f '{{.State.Pid}}' podc-demo-app-2)
			until [ $(podc container inspect -f '{{.RestartCount}}' podc-demo-app-2) = 1 ]; do sleep 2; done`)
		m.root(podc + "up -d --wait")
		m.says(podc+states, healthy)
	})
	m.behaves("a power cut costs no row, and all comes back", func(m machine) {
		m.powerCut()
		m.root(page + " | grep 'a row in PostgreSQL'")
		m.root(podc + "up -d --wait")
		m.says(podc+states, healthy)
		m.says("podc system check", "")
	})
	m.root(podc + "down -v -t 5")
}
