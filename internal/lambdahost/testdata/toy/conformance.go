package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// What these do is done under AWS's own emulator too, and must look the same there: each line that begins with "conformance".

// conformRegistering tries what the Extensions API answers.
func conformRegistering() {
	register("one", "INVOKE")
	register("one", "INVOKE")
	register("two", "SHUTDOWN")
	register("three", "OTHER")
	register("", "INVOKE")
	next("a-stranger")
	next("00000000-0000-0000-0000-000000000000")
	next("")
	for i := range 12 {
		register(fmt.Sprint("further-", i), "INVOKE")
	}
	os.Exit(0)
}

// conformInvoking is a function with an extension that works on for so long when the function has returned.
func conformInvoking(tail time.Duration) {
	id := register("worker", "INVOKE")
	invoked, returned := make(chan bool), make(chan bool)
	go func() {
		for {
			next(id)
			invoked <- true
			<-returned
			time.Sleep(tail)
			fmt.Println("conformance the extension is done")
		}
	}()
	lambda.StartWithOptions(func(context.Context, map[string]any) (any, error) {
		<-invoked
		register("late", "INVOKE")
		fmt.Println("conformance the function returns")
		defer func() { returned <- true }()
		return map[string]bool{"ok": true}, nil
	}, lambda.WithEnableSIGTERM())
}

const extensions = "/2020-01-01/extension/"

// register asks to be an extension, and says what came of it.
func register(name, event string) string {
	r, err := http.NewRequest(http.MethodPost, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+extensions+"register", strings.NewReader(`{"events":["`+event+`"]}`))
	if err != nil {
		panic(err)
	}
	if name != "" {
		r.Header.Set("Lambda-Extension-Name", name)
	}
	return tell("register "+name+" for "+event, r)
}

// next asks for an extension's next event, and waits for it.
func next(id string) {
	r, err := http.NewRequest(http.MethodGet, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+extensions+"event/next", nil)
	if err != nil {
		panic(err)
	}
	if id != "" {
		r.Header.Set("Lambda-Extension-Identifier", id)
	}
	tell("next", r)
}

// tell prints what an answer says, but for what differs from run to run.
func tell(what string, r *http.Request) (id string) {
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	var said map[string]any
	_ = json.Unmarshal(body, &said) // nil where it is none
	fmt.Println("conformance", what, answer.StatusCode, said["errorType"], said["eventType"], said["functionVersion"], said["handler"] != nil, said["deadlineMs"] != nil)
	return answer.Header.Get("Lambda-Extension-Identifier")
}

