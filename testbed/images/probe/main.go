// Probe looks at the cluster from inside a pod, for the tests of the test cluster. Its image holds nothing else.
//
//	probe get URL      print what URL answers, with the pod's service account where there is one
//	probe write FILE   write the pod's node and name to FILE
//	probe read FILE    print FILE
//	probe serve        serve /metrics on port 9090 until told to end
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		_ = os.WriteFile("/dev/termination-log", []byte(err.Error()), 0o644)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "get":
		return get(arguments[1])
	case len(arguments) == 2 && arguments[0] == "write":
		return os.WriteFile(arguments[1], []byte(os.Getenv("NODE_NAME")+"\n"), 0o644)
	case len(arguments) == 2 && arguments[0] == "read":
		content, err := os.ReadFile(arguments[1])
		fmt.Print(string(content))
		return err
	case len(arguments) == 1 && arguments[0] == "serve":
		return serve()
	}
	return fmt.Errorf("usage: probe get URL | write FILE | read FILE | serve; not %q", arguments)
}

func get(url string) error {
	client := http.Client{Timeout: 10 * time.Second}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token, err := os.ReadFile(account + "token"); err == nil {
		authority, err := os.ReadFile(account + "ca.crt")
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		request.Header.Set("Authorization", "Bearer "+string(token))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	_, err = io.Copy(os.Stdout, io.LimitReader(response.Body, 4096))
	return err
}

func serve() error {
	http.HandleFunc("/metrics", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(writer, "probe_up{node=%q} 1\n", os.Getenv("NODE_NAME"))
	})
	go func() {
		fmt.Println("serving")
		if err := http.ListenAndServe(":9090", nil); err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(1)
		}
	}()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
	return nil
}
