package rule

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func bcrypted(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestPasswordHashes(t *testing.T) {
	for _, tc := range []struct{ password, hash string }{
		{"pw", "abzlUXK5ed5rs"},
		{"pw", "$1$saltsalt$6SNdNaZLKst2LlSm7oPPL1"},
		{"foob", "arlEKn0OzVJn."},
		{"longpassword", "./x0kTlw5iEAs"},
		{"Hello world!", bcrypted(t, "Hello world!")},
	} {
		if !cryptMatches([]byte(tc.password), tc.hash) {
			got, _ := cryptLike([]byte(tc.password), tc.hash)
			t.Errorf("%q hashes to %q, want %q", tc.password, got, tc.hash)
		}
		if cryptMatches([]byte("x"+tc.password), tc.hash) || cryptMatches(nil, tc.hash) {
			t.Errorf("another password than %q passes for %q", tc.password, tc.hash)
		}
	}
	for _, bad := range []string{"", "x", "$", "$7$x$y", "*!", "$6$rounds=2000000$x$y", "$2b$31$abcdefghijklmnopqrstuv"} {
		if cryptKnown(bad) || cryptMatches([]byte("pw"), bad) {
			t.Errorf("%q passes for a hash", bad)
		}
	}
}

func TestPasswordHashesAreThoseOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatal("openssl is not installed; on Debian: apt-get install openssl")
		}
		t.Skip("openssl is not installed; on Debian: apt-get install openssl")
	}
	for _, scheme := range []string{"-1", "-5", "-6"} {
		for _, password := range []string{"a", "secret", "a rather long password, longer than any digest is, so that it is hashed in several blocks, ä"} {
			for _, salt := range []string{"s", "saltsalt", "0123456789abcdef"} {
				out, err := exec.Command(openssl, "passwd", scheme, "-salt", salt, password).Output()
				if err != nil {
					t.Fatal(err)
				}
				if hash := strings.TrimSpace(string(out)); !cryptMatches([]byte(password), hash) {
					t.Errorf("%q does not match %q", password, hash)
				}
			}
		}
	}
}
