package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// app is the web application of the demo: it says who it is, what it was configured with, and which rows it finds.
type app struct {
	greeting string
	db       *pgx.ConnConfig // nil: no database
}

// serve answers on $ADDR (":8080"):
//
//	GET /          one line a fact: host, greeting ($GREETING, or the file $GREETING_FILE), row ...
//	POST /rows     stores the body as a row
//	GET /env       the environment
//	GET /file?path=P   the content of a file
//	GET /health    200 if the database, where there is one, answers
//
// The database is $PGHOST, with $PGUSER, $PGDATABASE and the password in the file $PGPASSWORD_FILE.
func serve(ctx context.Context, _ []string) error {
	a := &app{greeting: os.Getenv("GREETING")}
	if err := a.configure(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", answer(a.page))
	mux.HandleFunc("POST /rows", answer(a.add))
	mux.HandleFunc("GET /env", answer(func(*http.Request) (string, error) { return strings.Join(os.Environ(), "\n") + "\n", nil }))
	mux.HandleFunc("GET /file", answer(func(r *http.Request) (string, error) {
		b, err := os.ReadFile(r.URL.Query().Get("path"))
		return string(b), err
	}))
	mux.HandleFunc("GET /health", answer(func(r *http.Request) (string, error) {
		_, err := a.rows(r.Context())
		return "ok\n", err
	}))
	return run(ctx, mux)
}

func run(ctx context.Context, h http.Handler) error {
	addr := os.Getenv("ADDR")
	if addr == "" {
		addr = ":8080"
	}
	s := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	fmt.Println("serving on", addr)
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answer makes a handler of a function that gives the text or fails.
func answer(f func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := f(r)
		if err != nil {
			fmt.Fprintln(os.Stderr, r.URL.Path, err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, text)
	}
}

func (a *app) configure(ctx context.Context) error {
	if path := os.Getenv("GREETING_FILE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		a.greeting = strings.TrimSpace(string(b))
	}
	if os.Getenv("PGHOST") == "" {
		return nil
	}
	db, err := pgx.ParseConfig("sslmode=disable connect_timeout=5") // reads $PGHOST and the like itself
	if err != nil {
		return err
	}
	if path := os.Getenv("PGPASSWORD_FILE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		db.Password = strings.TrimSpace(string(b)) // not in the environment, which others can read
	}
	a.db = db
	return a.prepare(ctx)
}

// with runs do on a connection of its own: the app is a guest of three replicas' worth of connections, and no more.
func (a *app) with(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, a.db)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	return do(ctx, c)
}

// prepare makes the table. Replicas start at the same moment, so it takes a lock: two CREATE TABLE IF NOT EXISTS can collide.
func (a *app) prepare(ctx context.Context) error {
	return a.with(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		for _, sql := range []string{
			"SELECT pg_advisory_xact_lock(1)",
			"CREATE TABLE IF NOT EXISTS rows (id serial PRIMARY KEY, text text NOT NULL)",
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return tx.Commit(ctx)
	})
}

func (a *app) add(r *http.Request) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 4096))
	if err != nil {
		return "", err
	}
	err = a.with(r.Context(), func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "INSERT INTO rows (text) VALUES ($1)", strings.TrimSpace(string(b)))
		return err
	})
	return "stored\n", err
}

func (a *app) rows(ctx context.Context) (texts []string, err error) {
	if a.db == nil {
		return nil, nil
	}
	err = a.with(ctx, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, "SELECT text FROM rows ORDER BY id")
		if err != nil {
			return err
		}
		texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return texts, err
}

func (a *app) page(r *http.Request) (string, error) {
	rows, err := a.rows(r.Context())
	if err != nil {
		return "", err
	}
	page := fmt.Sprintf("host: %s\ngreeting: %s\n", hostname(), a.greeting)
	for _, row := range rows {
		page += "row: " + row + "\n"
	}
	return page, nil
}
