// Command exec speaks what `kubectl exec` speaks to a kubelet (SPDY, or WebSocket), with Kubernetes' own library for it.
//
//	exec SOCKET
//
// The process kubelet passes requests on to SOCKET and says in a header what is to be started for them; so nothing
// here knows of pods.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// A process as the kubelet describes it, in the header X-Process.
type process struct {
	Arguments   []string          `json:"arguments"`
	Environment map[string]string `json:"environment"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: exec SOCKET")
		os.Exit(2)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err == nil {
		err = http.Serve(listener, http.HandlerFunc(serve))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(w http.ResponseWriter, request *http.Request) {
	options, err := remotecommand.NewOptions(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var wanted process
	if err := json.Unmarshal([]byte(request.Header.Get("X-Process")), &wanted); err != nil || len(wanted.Arguments) == 0 {
		http.Error(w, "no process is described", http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, request, wanted, "", "", "", nil, options, time.Hour, 30*time.Second,
		remotecommand.SupportedStreamingProtocols)
}

// ExecInContainer runs the process. A terminal is not made: nothing in the bed asks for one.
func (wanted process) ExecInContainer(ctx context.Context, _, _, _ string, _ []string, in io.Reader, out, errors io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	command := exec.CommandContext(ctx, wanted.Arguments[0], wanted.Arguments[1:]...)
	command.Env = []string{}
	for name, value := range wanted.Environment {
		command.Env = append(command.Env, name+"="+value)
	}
	// A nil pointer in an interface is not nil.
	if out != nil {
		command.Stdout = out
	}
	if errors != nil {
		command.Stderr = errors
	}
	if in != nil {
		// Not command.Stdin: the end of the process would be waited for until the client closes its own.
		pipe, err := command.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(pipe, in)
			pipe.Close()
		}()
	}
	err := command.Run()
	if ended, ok := err.(*exec.ExitError); ok {
		return utilexec.ExitErrorWrapper{ExitError: ended}
	}
	return err
}
