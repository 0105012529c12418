//go:build !unix

package lambdahost

import (
	"errors"
	"os"
	"os/exec"
)

func supported() error {
	return errors.New("lambda host: it needs SIGSTOP and process groups, which this system does not have")
}

func ownGroup(*exec.Cmd)    {}
func freeze(*os.Process)    {}
func thaw(*os.Process)      {}
func terminate(*os.Process) {}
func kill(*os.Process)      {}
