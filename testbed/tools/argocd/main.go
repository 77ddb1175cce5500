// Parts of Argo CD in one program: its own two controllers that apply from Git, and its Lua engine behind a few lines
// of ours. Its own main function links the API server as well, whose embedded web interface the module does not have.
//
// Usage: argocd application-controller|repo-server FLAG...
//
//	argocd lua KUBECONFIG NAMESPACE
package main

import (
	"fmt"
	"os"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	name, arguments := "", []string{}
	if len(os.Args) > 1 {
		name, arguments = os.Args[1], os.Args[2:]
	}
	if err := run(name, arguments); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, arguments []string) error {
	var command *cobra.Command
	switch name {
	case "application-controller":
		command = controller.NewCommand()
	case "repo-server":
		command = reposerver.NewCommand()
	case "lua":
		return serve(arguments)
	default:
		return fmt.Errorf("usage: argocd application-controller|repo-server|lua ARGUMENT...")
	}
	command.SetArgs(arguments)
	return command.Execute()
}
