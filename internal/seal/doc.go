// Package seal keeps provider keys at rest. A key is sealed to a public key with HPKE (RFC 9180), bound to its project and provider, so
// that whoever manages projects can set keys and never read one, and a ciphertext moved to another row does not open. Only the proxy
// holds the sealing secret that opens them.
package seal
