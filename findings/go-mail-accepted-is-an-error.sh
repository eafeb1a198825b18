#!/usr/bin/env bash
# Needs: Go.
# Guess: Client.DialAndSend of go-mail returns an error when the server did not take the message, so the caller may try again.
# Seen with github.com/wneessen/go-mail v0.8.1: a server that answers DATA with 250 and RSET with 421 (RFC 5321, 3.8 lets it go at any
# time) gives an error although Msg.IsDelivered is true: who tries again sends a second copy. And when QUIT is not answered with 221,
# the connection stays open after DialAndSend returned.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >go.mod <<'END'
module finding
go 1.25
require github.com/wneessen/go-mail v0.8.1
END
cat >main.go <<'END'
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// serve takes one message and answers RSET and QUIT with a reply. left says whether the client's side was still open a while after it returned.
func serve(l net.Listener, reply string, returned chan struct{}, left chan bool) {
	c, err := l.Accept()
	check(err)
	defer c.Close()
	fmt.Fprint(c, "220 here\r\n")
	data := false
	lines := bufio.NewScanner(c)
	go func() {
		<-returned
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
	}()
	for lines.Scan() {
		switch line := lines.Text(); {
		case data && line == ".":
			data = false
			fmt.Fprint(c, "250 queued\r\n")
		case data:
		case line == "DATA":
			data = true
			fmt.Fprint(c, "354 go on\r\n")
		case line == "RSET", line == "QUIT":
			fmt.Fprint(c, reply)
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
	err = lines.Err()
	var timeout net.Error
	left <- errors.As(err, &timeout) && timeout.Timeout() && err != io.EOF
}

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	returned, left := make(chan struct{}), make(chan bool)
	go serve(l, os.Args[1]+"\r\n", returned, left)
	client, err := mail.NewClient("127.0.0.1", mail.WithPort(l.Addr().(*net.TCPAddr).Port), mail.WithTLSPolicy(mail.NoTLS), mail.WithTimeout(5*time.Second))
	check(err)
	m := mail.NewMsg()
	check(m.From("shop@example.com"))
	check(m.To("reader@example.com"))
	m.SetBodyString(mail.TypeTextPlain, "Hello\n")
	err = client.DialAndSendWithContext(context.Background(), m)
	close(returned)
	fmt.Printf("error=%t delivered=%t open=%t\n", err != nil, m.IsDelivered(), <-left)
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
END
GOFLAGS=-mod=mod go build -o finding . 2>/dev/null
echo "go-mail v0.8.1, RSET and QUIT answered with 421:"
./finding "421 going down" | tee seen
grep -qx 'error=true delivered=true open=true' seen
