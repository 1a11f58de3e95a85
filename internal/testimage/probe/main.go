// Command probe is the program of the test image of the same name: it does what a test asks of it, and says what it sees
// from inside. It is static and needs nothing else in its root filesystem.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// modes are the things it can do; the first argument chooses.
var modes = map[string]func(ctx context.Context, args []string) error{
	"serve":    serve,    // the app of the demo: HTTP on $ADDR, rows in PostgreSQL if $PGHOST is set
	"listen":   listen,   // listen tcp|udp ADDR: answers every line or datagram with "hostname: what it got"
	"send":     send,     // send tcp|udp ADDR TEXT: prints what comes back
	"get":      get,      // get URL: exit code 0 if it answers with 200
	"post":     post,     // post URL TEXT: exit code 0 if it takes the text
	"lookup":   lookup,   // lookup NAME...: addresses as Go's resolver finds them, one line a name
	"flood":    flood,    // flood LINES [BYTES [PAUSE]]: numbered lines on stdout and stderr in turn, PAUSE after every hundred
	"exit":     exit,     // exit CODE [AFTER]
	"stubborn": stubborn, // ignores SIGTERM and SIGINT
	"sleep":    sleep,    // ends at SIGTERM
	"env":      environ,  // prints the environment
	"cat":      cat,      // cat FILE...
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: probe serve|listen|send|get|post|lookup|flood|exit|stubborn|sleep|env|cat ...")
		os.Exit(2)
	}
	if err := modes[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func arg(args []string, i int, otherwise string) string {
	if i < len(args) {
		return args[i]
	}
	return otherwise
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return err.Error()
	}
	return name
}

func listen(ctx context.Context, args []string) error {
	network, addr := arg(args, 0, "tcp"), arg(args, 1, ":53")
	if network == "udp" {
		return listenUDP(ctx, addr)
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	fmt.Println("listening on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return unlessEnded(ctx, err)
		}
		go echo(c)
	}
}

func echo(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Fprintf(c, "%s: %s\n", hostname(), lines.Text())
	}
}

func listenUDP(ctx context.Context, addr string) error {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { c.Close() })
	fmt.Println("listening on", c.LocalAddr())
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return unlessEnded(ctx, err)
		}
		if _, err := c.WriteTo([]byte(hostname()+": "+string(buf[:n])), from); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func send(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, arg(args, 0, "tcp"), arg(args, 1, "127.0.0.1:53"))
	if err != nil {
		return err
	}
	defer c.Close()
	context.AfterFunc(ctx, func() { c.Close() })
	if _, err := fmt.Fprintln(c, arg(args, 2, "")); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(buf[:n])
	return err
}

func get(ctx context.Context, args []string) error {
	return ask(ctx, http.MethodGet, arg(args, 0, "http://127.0.0.1:8080/health"), "")
}

func post(ctx context.Context, args []string) error {
	return ask(ctx, http.MethodPost, arg(args, 0, "http://127.0.0.1:8080/rows"), arg(args, 1, ""))
}

func ask(ctx context.Context, method, url, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func lookup(ctx context.Context, args []string) (err error) {
	for _, name := range args {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		addrs, lerr := net.DefaultResolver.LookupHost(ctx, name)
		cancel()
		fmt.Println(name, strings.Join(addrs, " "))
		err = errors.Join(err, lerr)
	}
	return err
}

func flood(ctx context.Context, args []string) error {
	lines, err := strconv.Atoi(arg(args, 0, "1000"))
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(arg(args, 1, "80"))
	if err != nil {
		return err
	}
	pause, err := time.ParseDuration(arg(args, 2, "0s"))
	if err != nil {
		return err
	}
	pad := strings.Repeat("x", max(size-10, 0))
	out := [2]*bufio.Writer{bufio.NewWriter(os.Stdout), bufio.NewWriter(os.Stderr)}
	for i := range lines {
		fmt.Fprintf(out[i%2], "%08d %s\n", i, pad)
		if pause > 0 && i%100 == 99 {
			err = errors.Join(err, out[0].Flush(), out[1].Flush())
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return err
			}
		}
	}
	return errors.Join(err, out[0].Flush(), out[1].Flush())
}

func exit(ctx context.Context, args []string) error {
	code, err := strconv.Atoi(arg(args, 0, "0"))
	if err != nil {
		return err
	}
	after, err := time.ParseDuration(arg(args, 1, "0s"))
	if err != nil {
		return err
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
	}
	os.Exit(code)
	return nil
}

func stubborn(context.Context, []string) error {
	signal.Ignore(syscall.SIGTERM, os.Interrupt)
	fmt.Println("ignoring SIGTERM")
	for { // a plain select{} would be a deadlock to the runtime
		<-time.After(time.Hour)
	}
}

func sleep(ctx context.Context, _ []string) error {
	<-ctx.Done()
	return nil
}

func environ(context.Context, []string) error {
	for _, e := range os.Environ() {
		fmt.Println(e)
	}
	return nil
}

func cat(_ context.Context, args []string) error {
	for _, path := range args {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}
