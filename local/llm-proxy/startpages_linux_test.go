package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fileMemory is how much of files this process has mapped and in memory, in KB.
func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(status), "RssFile:")
	require.True(t, found, "%s", status)
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(t, err)
	return kb
}

func TestPagesThatTheStartMappedAreGivenBackAndComeAgainWhenUsed(t *testing.T) {
	program, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	self, err := os.Readlink("/proc/self/exe")
	require.NoError(t, err)
	require.Len(t, readOnlyParts(string(program), self), 2, "code and constants:\n%s", program)

	before := fileMemory(t)
	require.NoError(t, unmapStart())
	after := fileMemory(t)
	require.Less(t, after, before*3/4, "KB; before there were %d", before)
	require.NoError(t, unmapStart(), "and again, with all code and constants read anew")
}

func TestOnlyWhatIsReadOfTheProgramsFileIsUnmapped(t *testing.T) {
	const maps = `00400000-01ac7000 r-xp 00000000 fe:00 108                        /usr/bin/llm-proxy
01ac7000-0321c000 r--p 016c7000 fe:00 108                        /usr/bin/llm-proxy
0321c000-033a6000 rw-p 02e1c000 fe:00 108                        /usr/bin/llm-proxy
033a6000-05409000 rw-p 00000000 00:00 0 
06000000-06001000 r--p 00000000 fe:00 109                        /usr/bin/other-llm-proxy
06001000-06002000 r--s 00000000 fe:00 108                        /usr/bin/llm-proxy
7fa472e95000-7fa472e97000 r-xp 00000000 00:00 0                  [vdso]
`
	require.Equal(t, []memoryRange{{0x400000, 0x1ac7000}, {0x1ac7000, 0x321c000}}, readOnlyParts(maps, "/usr/bin/llm-proxy"))
}

func TestAPageThatIsNotTheFilesStays(t *testing.T) {
	page := uintptr(os.Getpagesize())
	part := memoryRange{2 * page, 5 * page}
	for name, test := range map[string]struct {
		entry uint64
		want  bool
	}{
		"not in memory":             {0, false},
		"in memory as in the file":  {pagePresent | pageOfFile, false},
		"changed":                   {pagePresent, true},
		"changed, and swapped out":  {pageSwapped, true},
		"known by its number alone": {pagePresent | pageOfFile | 0x1234, false},
	} {
		entries := []uint64{pagePresent, pagePresent, pagePresent | pageOfFile, test.entry, 0, pagePresent} // the others are not of the part
		var pagemap bytes.Buffer
		require.NoError(t, binary.Write(&pagemap, binary.NativeEndian, entries))
		got, err := changedSince(bytes.NewReader(pagemap.Bytes()), part)
		require.NoError(t, err)
		require.Equal(t, test.want, got, name)
	}
	_, err := changedSince(bytes.NewReader(nil), part)
	require.Error(t, err, "pages that nobody tells of")
}
