package lambdahost

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memoryUsed is the most memory that a process has had resident, in bytes; 0 if that is not known.
func memoryUsed(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kB, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0
	}
	return kB << 10
}
