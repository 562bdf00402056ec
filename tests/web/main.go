// Command web is the application that the end-to-end tests deploy: a web page
// and the few other things that a test wants a container to do. It is static,
// and its image holds nothing but it and busybox.
//
//	web serve [PORT]   answers every request with "hello from HOSTNAME", logs the path
//	web get URL        prints the page
//	web admit NAME     is a webhook at that name that admits no object named "bad"; its certificate is the first that it prints
//	web echo           repeats standard input, a line at a time
//	web eat MEGABYTES  takes that much memory, then waits
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatalf("web: %v", err)
	}
}

func run(args []string) error {
	command, operand := "serve", "8080"
	if len(args) > 0 {
		command = args[0]
	}
	if len(args) > 1 {
		operand = args[1]
	}
	switch command {
	case "serve":
		return serve(operand)
	case "get":
		return get(operand)
	case "admit":
		return admit(operand)
	case "echo":
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			fmt.Println("you said:", lines.Text())
		}
		return lines.Err()
	case "eat":
		return eat(operand)
	}
	return fmt.Errorf("unknown command %q", command)
}

func serve(port string) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the host's name: %w", err)
	}
	fmt.Println("listening on port", port)
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("asked for", r.URL.Path)
		_, _ = fmt.Fprintln(w, "hello from", name) // a client that hangs up early loses only its own page
	}))
}

func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// eat touches every page, or the kernel would not hand them out.
func eat(megabytes string) error {
	n, err := strconv.Atoi(megabytes)
	if err != nil {
		return fmt.Errorf("%q is not a number of megabytes", megabytes)
	}
	eaten := make([]byte, n<<20)
	for i := 0; i < len(eaten); i += 4096 {
		eaten[i] = 1
	}
	fmt.Println("ate", n, "megabytes")
	select {}
}
