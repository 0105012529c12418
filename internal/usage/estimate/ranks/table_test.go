package ranks

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATableHasItsUnitsAndNothingElse(t *testing.T) {
	units := []string{"!", "a", "b", "ab", "abc", "abcd", "abcdefgh", "abcdefghi", "a text of more than sixteen bytes", "\x00", "\x00\x00", "\xff"}
	for i := range 5_000 {
		units = append(units, fmt.Sprintf("unit %d", i))
	}
	file, err := Pack(units)
	require.NoError(t, err)
	table, err := Open(string(file))
	require.NoError(t, err)
	require.Equal(t, len(units), table.Len())
	for rank, unit := range units {
		require.Equal(t, uint32(rank), table.Rank(unit), "%q", unit)
		require.Equal(t, unit, table.Unit(uint32(rank)))
	}
	for i := range 50_000 {
		require.Equal(t, uint32(None), table.Rank(fmt.Sprintf("unit %d", 5_000+i)))
	}
	for _, text := range []string{"", "c", "abcdefg", "\x00\x00\x00", "A"} {
		require.Equal(t, uint32(None), table.Rank(text), "%q", text)
	}
}

func TestUnitsThatMakeNoTableAreRefused(t *testing.T) {
	for name, units := range map[string][]string{
		"none": nil, "an empty one": {"a", ""}, "one twice": {"a", "b", "a"}, "texts too long": {strings.Repeat("a", 1<<24)},
	} {
		_, err := Pack(units)
		require.Error(t, err, name)
	}
}

func TestADamagedFileIsNotOpened(t *testing.T) {
	file, err := Pack([]string{"a", "b", "ab"})
	require.NoError(t, err)
	for size := range len(file) {
		_, err := Open(string(file[:size]))
		require.ErrorIs(t, err, errDamaged, "%d bytes of it", size)
	}
	_, err = Open(string(file) + "a")
	require.ErrorIs(t, err, errDamaged)
	for at := 0; at < headerSize; at += 4 {
		large := append([]byte(nil), file...)
		binary.LittleEndian.PutUint32(large[at:], 1<<31)
		_, err := Open(string(large))
		require.ErrorIs(t, err, errDamaged, "the number at %d", at)
	}
}
