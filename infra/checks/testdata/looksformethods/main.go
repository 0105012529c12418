// Command looksformethods calls a method by the name it is given.
package main

import (
	"os"
	"reflect"
)

type named struct{}

func (named) Hello() { println("hello") }

func main() { reflect.ValueOf(named{}).MethodByName(os.Args[1]).Call(nil) }
