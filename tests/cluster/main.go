// Command cluster is a whole Kubernetes control plane in one file. The name it is started under chooses the program:
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, or cluster-keys, which makes the certificates.
//
// One file, because the five programs share most of their code: linking them once takes a fifth of the time and space.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcd.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	case "cluster-keys":
		if err := writeKeys(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "cluster-keys:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "%s: unknown program; start this file through one of its links\n", name)
		os.Exit(2)
	}
}
