package aws

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// siteBucket: the one statement that lets anybody in is the distribution's, and it reads with a signature.
func siteBucket(t template) (broken []string) {
	allowed := 0
	for _, s := range t.properties("SiteBucketPolicy").Get("PolicyDocument.Statement").Array() {
		if s.Get("Effect").Str == "Deny" {
			continue
		}
		allowed++
		if got := compact(s.Get("Principal")); got != `{"Service":"cloudfront.amazonaws.com"}` {
			broken = append(broken, "it lets in "+got)
		}
		if got := compact(s.Get("Action")); got != `"s3:GetObject"` {
			broken = append(broken, "it allows "+got)
		}
		if got := s.Get(`Condition.StringEquals.AWS\:SourceArn`).Raw; !strings.Contains(got, "distribution/${Site}") {
			broken = append(broken, "any distribution may read it")
		}
	}
	if allowed != 1 {
		broken = append(broken, fmt.Sprintf("%d statements let somebody in", allowed))
	}
	access := t.properties("SiteAccess").Get("OriginAccessControlConfig")
	if access.Get("SigningBehavior").Str != "always" || access.Get("SigningProtocol").Str != "sigv4" || access.Get("OriginAccessControlOriginType").Str != "s3" {
		broken = append(broken, "the distribution does not sign what it asks")
	}
	if got := t.properties("Site").Get(`DistributionConfig.Origins.#(Id=="pages").OriginAccessControlId`).Raw; !strings.Contains(got, `"SiteAccess"`) {
		broken = append(broken, "pages are asked for without a signature")
	}
	return broken
}

// nothing is what the admin side is joined with here: a page asks neither.
type nothing struct {
	admin.Store
	admin.Refusals
}

// pageHeaders are those of the site's page as the server gives it.
func pageHeaders() (http.Header, error) {
	h, err := admin.New(admin.Config{Store: nothing{}, Refusals: nothing{}, User: "admin", Password: llmproxy.NewSecret("fake-password-1234")})
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/admin/", nil))
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("the page answers %d", w.Code)
	}
	return w.Header(), nil
}

// ownHeaders are those that belong to an answer, and not to what a browser may do with it.
var ownHeaders = []string{"Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Vary", "X-Llm-Proxy-Request-Id"}

func siteHeaders(t template) (broken []string) {
	policy := t.properties("SiteHeaders").Get("ResponseHeadersPolicyConfig")
	security := policy.Get("SecurityHeadersConfig")
	got := map[string]string{
		"Content-Security-Policy": security.Get("ContentSecurityPolicy.ContentSecurityPolicy").Str,
		"Referrer-Policy":         security.Get("ReferrerPolicy.ReferrerPolicy").Str,
		"X-Frame-Options":         security.Get("FrameOptions.FrameOption").Str,
	}
	if security.Get("ContentTypeOptions").Exists() {
		got["X-Content-Type-Options"] = "nosniff"
	}
	for _, item := range policy.Get("CustomHeadersConfig.Items").Array() {
		got[item.Get("Header").Str] = item.Get("Value").Str
	}
	want, err := pageHeaders()
	if err != nil {
		return []string{err.Error()}
	}
	if csp := want.Get("Content-Security-Policy"); csp != admin.ContentSecurityPolicy {
		broken = append(broken, "the server's own policy is "+csp)
	}
	for name := range want {
		if slices.Contains(ownHeaders, name) {
			continue
		}
		if got[name] != want.Get(name) {
			broken = append(broken, fmt.Sprintf("%s is %q, the server says %q", name, got[name], want.Get(name)))
		}
		delete(got, name)
	}
	for name, value := range got {
		broken = append(broken, fmt.Sprintf("%s is %q, the server has none", name, value))
	}
	if security.Get("StrictTransportSecurity.AccessControlMaxAgeSec").Int() < 365*24*60*60 {
		broken = append(broken, "a browser may go back to plain text")
	}
	overrides := strings.Count(compact(policy), `"Override":true`)
	if want := len(security.Map()) + len(policy.Get("CustomHeadersConfig.Items").Array()); overrides != want {
		broken = append(broken, fmt.Sprintf("%d of %d headers hold whatever the bucket says", overrides, want))
	}
	if got := t.properties("Site").Get("DistributionConfig.DefaultCacheBehavior.ResponseHeadersPolicyId.Ref").Str; got != "SiteHeaders" {
		broken = append(broken, "pages have the headers of "+got)
	}
	return broken
}

// Policies that CloudFront has by itself.
const (
	cachingDisabled           = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
	allViewerExceptHostHeader = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
)

func sitePaths(t template) (broken []string) {
	config := t.properties("Site").Get("DistributionConfig")
	origins := map[string]string{}
	for _, o := range config.Get("Origins").Array() {
		origins[o.Get("Id").Str] = o.Get("DomainName").Raw
		if o.Get("CustomOriginConfig").Exists() && (o.Get("CustomOriginConfig.OriginProtocolPolicy").Str != "https-only" || compact(o.Get("CustomOriginConfig.OriginSSLProtocols")) != `["TLSv1.2"]`) {
			broken = append(broken, o.Get("Id").Str+" is asked in plain text, or by an old TLS")
		}
	}
	leads := map[string]string{"": "SiteBucket"}
	for path, want := range map[string]string{"/manage/*": "${Api}.execute-api", "/admin/api/*": "${Api}.execute-api", "/v1/*": "ProxyUrl"} {
		leads[path] = want
		b := config.Get(`CacheBehaviors.#(PathPattern=="` + path + `")`)
		if got := origins[b.Get("TargetOriginId").Str]; !strings.Contains(got, want) {
			broken = append(broken, path+" leads to "+got)
		}
		if b.Get("CachePolicyId").Str != cachingDisabled || b.Get("OriginRequestPolicyId").Str != allViewerExceptHostHeader {
			broken = append(broken, path+" is kept, or does not reach its origin as it came")
		}
		if b.Get("ViewerProtocolPolicy").Str != "https-only" {
			broken = append(broken, path+" can be asked in plain text")
		}
		if n := len(b.Get("AllowedMethods").Array()); n != 7 {
			broken = append(broken, fmt.Sprintf("%s takes %d methods", path, n))
		}
	}
	if n := len(config.Get("CacheBehaviors").Array()); n != len(leads)-1 {
		broken = append(broken, fmt.Sprintf("there are %d paths", n))
	}
	pages := config.Get("DefaultCacheBehavior")
	if got := origins[pages.Get("TargetOriginId").Str]; !strings.Contains(got, leads[""]) {
		broken = append(broken, "pages come from "+got)
	}
	if pages.Get("ViewerProtocolPolicy").Str != "redirect-to-https" || compact(pages.Get("AllowedMethods")) != `["GET","HEAD"]` {
		broken = append(broken, "pages can be asked in plain text, or written")
	}
	if config.Get("CustomErrorResponses").Exists() {
		broken = append(broken, "a page takes the place of the API's refusals")
	}
	return broken
}

// sitePages: the site is in the function, so a new version of that is what tells CloudFormation to call it.
func sitePages(t template) (broken []string) {
	pages := t.properties("SitePages")
	version := pages.Get("Setup.Ref").Str
	if got := t.properties(version).Get("FunctionName.Ref").Str; t.Get("Resources."+version+".Type").Str != "AWS::Lambda::Version" || got != "Setup" {
		broken = append(broken, "it is not brought anew with each version of setup")
	}
	if got := pages.Get("Bucket.Ref").Str; got != "SiteBucket" {
		broken = append(broken, "it is brought to "+got)
	}
	for _, needed := range []string{"SitePolicy", "SiteBucketPolicy"} { // so what setup may do goes after the bucket was emptied
		if !strings.Contains(t.Get("Resources.SitePages.DependsOn").Raw, `"`+needed+`"`) {
			broken = append(broken, "it does not wait for "+needed)
		}
	}
	return broken
}

func siteCondition(t template) (broken []string) {
	if got := compact(t.Get("Conditions.HasSite")); got != `{"Fn::Equals":[{"Ref":"AdminSite"},"true"]}` {
		broken = append(broken, "HasSite is "+got)
	}
	n := 0
	t.resources("", func(name string, r gjson.Result) {
		of := strings.HasPrefix(name, "Admin") || strings.HasPrefix(name, "Site") || strings.HasPrefix(name, "Sessions") || strings.HasPrefix(r.Get("Type").Str, "AWS::CloudFront::")
		if of {
			n++
		}
		if has := r.Get("Condition").Str == "HasSite"; has != of {
			broken = append(broken, fmt.Sprintf("%s: under HasSite %v", name, has))
		}
	})
	if n == 0 {
		broken = append(broken, "there is no site at all")
	}
	t.Get("Outputs").ForEach(func(name, o gjson.Result) bool {
		if has := o.Get("Condition").Str == "HasSite"; has != strings.HasPrefix(name.Str, "Admin") {
			broken = append(broken, fmt.Sprintf("output %s: under HasSite %v", name.Str, has))
		}
		return true
	})
	return broken
}
