package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// unmapStart gives back the pages of the program's file that the start has mapped. It runs through every package once, and the kernel maps
// 64 KB at least around each page that is touched: two thirds of what a server that has just started holds, and most of it is never
// touched again. The pages stay in the page cache; what serving needs is mapped again as it is used.
func unmapStart() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	pages, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err
	}
	defer pages.Close()
	for _, part := range readOnlyParts(string(maps), program) {
		changed, changedErr := changedSince(pages, part)
		if changedErr != nil {
			err = errors.Join(err, changedErr)
		}
		if changed || changedErr != nil {
			continue
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, part.from, part.to-part.from, syscall.MADV_DONTNEED); errno != 0 {
			err = errors.Join(err, fmt.Errorf("madvise %x-%x: %w", part.from, part.to, errno))
		}
	}
	return err
}

// memoryRange is [from, to) of the address space.
type memoryRange struct{ from, to uintptr }

// readOnlyParts finds in a /proc/PID/maps where the program's file is mapped for reading alone: its code and its constants.
func readOnlyParts(maps, program string) []memoryRange {
	var parts []memoryRange
	for line := range strings.SplitSeq(maps, "\n") { // 00400000-01ac7000 r-xp 00000000 fe:00 10871652    /usr/bin/llm-proxy
		var part memoryRange
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &part.from, &part.to, &rights); n < 3 {
			continue
		}
		if (rights == "r-xp" || rights == "r--p") && strings.HasSuffix(line, " "+program) {
			parts = append(parts, part)
		}
	}
	return parts
}

// Of an entry of a /proc/PID/pagemap.
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// changedSince says, by a /proc/PID/pagemap, whether any page of a part of the file is the process's own by now: a debugger's breakpoint
// is, or an address that was set when the program was loaded. The file does not have it, so it must stay.
func changedSince(pages io.ReaderAt, part memoryRange) (bool, error) {
	size := uintptr(os.Getpagesize())
	entries := make([]byte, (part.to-part.from)/size*8)
	if _, err := pages.ReadAt(entries, int64(part.from/size*8)); err != nil {
		return false, fmt.Errorf("read the pages of %x-%x: %w", part.from, part.to, err)
	}
	for ; len(entries) > 0; entries = entries[8:] {
		if e := binary.NativeEndian.Uint64(entries); e&(pagePresent|pageSwapped) != 0 && e&pageOfFile == 0 {
			return true, nil
		}
	}
	return false, nil
}
