package price

import (
	"math/big"
	"math/bits"
	"strconv"
)

// price of one unit: a decimal number in USD as it was written, and in unitsPerUSD where a whole number of those is the same.
type price struct {
	usd   string
	units uint64
	whole bool
}

// unitsPerUSD is a power of ten under which every price in the table is whole, and one of 18 cents still fits. Seconds, which may cost
// more, are counted in fractions anyway.
const (
	unitsPerUSD  = 1e20
	unitsDigits  = 20
	unitsPerPico = 1e8 // units in a millionth of a millionth of a USD
)

// prices of one model by LiteLLM's names, in USD as they were written. There are about ten, of which a call needs three: too few to
// read them all, or to make a map.
type prices []named

type named struct{ name, usd string }

// of returns the price of that name, "" if it is not known.
func (p prices) of(name string) string {
	for i := range p {
		if p[i].name == name {
			return p[i].usd
		}
	}
	return ""
}

// newPrice reads a decimal number.
func newPrice(usd string) price {
	p := price{usd: usd}
	units, shift, fraction := uint64(0), unitsDigits, false
	for i := range len(usd) {
		if usd[i] == 'e' || usd[i] == 'E' {
			exponent, err := strconv.Atoi(usd[i+1:])
			if err != nil {
				return p
			}
			shift += exponent
			break
		}
		if usd[i] == '.' {
			fraction = true
			continue
		}
		high, low := bits.Mul64(units, 10)
		if high != 0 || low > 1<<63 {
			return p
		}
		units = low + uint64(usd[i]-'0')
		if fraction {
			shift--
		}
	}
	for ; shift > 0 && units > 0; shift-- {
		high, low := bits.Mul64(units, 10)
		if high != 0 {
			return p
		}
		units = low
	}
	for ; shift < 0 && units%10 == 0 && units > 0; shift++ {
		units /= 10
	}
	p.units, p.whole = units, shift == 0 || units == 0
	return p
}

// rat is the price exactly.
func (p price) rat() *big.Rat {
	r, ok := new(big.Rat).SetString(p.usd)
	if !ok {
		panic("a price that is no number: " + p.usd) // each was checked
	}
	return r
}

func (p price) free() bool { return p.whole && p.units == 0 }

// part of a bill: so many at a price.
type part struct {
	n       int64
	seconds *big.Rat // in place of n
	price   price
}

// total is the exact sum of the parts in USD, rounded once, to a millionth of a millionth.
func total(parts []part) float64 {
	if usd, ok := wholeTotal(parts); ok {
		return usd
	}
	return exactTotal(parts)
}

// wholeTotal is the total where whole numbers hold it, as they do but for prices and counts that nobody has.
func wholeTotal(parts []part) (usd float64, ok bool) {
	var high, low uint64 // the sum, in units
	for _, p := range parts {
		if p.seconds != nil || !p.price.whole {
			return 0, false
		}
		h, l := bits.Mul64(uint64(p.n), p.price.units)
		var carry uint64
		low, carry = bits.Add64(low, l, 0)
		if high, carry = bits.Add64(high, h, carry); carry != 0 {
			return 0, false
		}
	}
	low, carry := bits.Add64(low, unitsPerPico/2, 0)
	if high += carry; high >= unitsPerPico {
		return 0, false
	}
	picos, _ := bits.Div64(high, low, unitsPerPico)
	if picos > 1<<53 {
		return 0, false // not every whole number is a float64 any more
	}
	return float64(picos) / 1e12, true // both are exact, so this is the nearest
}

func exactTotal(parts []part) float64 {
	sum := new(big.Rat)
	for _, p := range parts {
		n := p.seconds
		if n == nil {
			n = new(big.Rat).SetInt64(p.n)
		}
		sum.Add(sum, new(big.Rat).Mul(n, p.price.rat()))
	}
	usd, _ := strconv.ParseFloat(sum.FloatString(12), 64) // it is a decimal number
	return usd
}
