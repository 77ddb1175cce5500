// Pause holds a pod's namespaces open until it is told to end. A pod's sandbox runs it.
package main

import (
	"os/signal"
	"syscall"

	"os"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}
