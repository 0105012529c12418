package manage

import (
	"net/http"
	"strconv"
	"strings"
)

// etag is the entity tag of a revision.
func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

// revisions are those that If-Match takes; none takes any. A tag that is none of ours matches nothing.
func revisions(ifMatch string) ([]int64, error) {
	if ifMatch = strings.TrimSpace(ifMatch); ifMatch == "" || ifMatch == "*" {
		return nil, nil
	}
	var all []int64
	for tag := range strings.SplitSeq(ifMatch, ",") {
		text := strings.TrimSpace(tag)
		weak := strings.HasPrefix(text, "W/")
		text = strings.TrimPrefix(text, "W/")
		if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
			return nil, &Problem{
				Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Detail: "The request cannot be taken.",
				Errors: []ProblemField{{"If-Match", `must be the ETag of an earlier answer, in its quotes, or *`}},
			}
		}
		n, err := strconv.ParseInt(text[1:len(text)-1], 10, 64)
		if err != nil || n < 1 || weak { // a weak tag is never the same as another (RFC 9110, section 8.8.3.2)
			n = -1
		}
		all = append(all, n)
	}
	return all, nil
}
