"""A small OpenID Connect provider on the loopback address, with real keys and signatures; it can be told to cheat."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CLIENT_ID, CLIENT_SECRET = "tieout-app", "a secret:of the app%"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


class Provider:
    """``claims`` go over the true ones; ``sign`` makes the token; ``metadata`` goes over what is said of itself."""

    def __init__(self) -> None:
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {"sub": "7", "preferred_username": "Ada", "name": "Ada L."}
        self.without: tuple[str, ...] = ()
        self.metadata: dict[str, Any] = {}
        self.keys = dict(KEYS)
        self.key_ids = {name: f"{name}-1" for name in KEYS}
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, provider.document(self.path))

            def do_POST(self) -> None:
                form = {
                    name: values[0]
                    for name, values in parse_qs(
                        self.rfile.read(int(self.headers["Content-Length"])).decode()
                    ).items()
                }
                self._send(*provider.redeem(form, self.headers.get("Authorization", "")))

            def _send(self, status: int, value: object) -> None:
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realm"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def document(self, path: str) -> object:
        self.asked.append(path)
        if path.endswith("/openid-configuration"):
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_response_iss_parameter_supported": True,
            } | self.metadata
        return {"keys": [self._public(name) for name in self.keys]}

    def consent(self, url: str, **changed: str) -> dict[str, str]:
        """What the browser of a person who logs in there brings back to us."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer} | changed

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, object]:
        self.asked.append("/token")
        begun = self.codes.pop(form.get("code", ""), None)
        pair = urlencode({CLIENT_ID: CLIENT_SECRET}).replace("=", ":", 1)
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (
            begun is None
            or authorization != "Basic " + base64.b64encode(pair.encode()).decode()
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != begun["code_challenge"]
            or form["redirect_uri"] != begun["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": begun["nonce"],
        } | self.claims  # fmt: skip
        return 200, {"token_type": "Bearer", "id_token": self.sign(
            {name: value for name, value in claims.items() if name not in self.without}
        )}  # fmt: skip

    def sign(self, claims: dict[str, Any]) -> str:
        headers = {"kid": self.key_ids.get(self.algorithm, "RS256-1")}
        if self.algorithm == "none":
            return jwt.encode(claims, None, algorithm="none", headers=headers)
        if self.algorithm == "HS256":  # the classic: what everybody can read, taken for a shared secret
            return jwt.encode(claims, self._public("RS256")["n"], algorithm="HS256", headers=headers)
        return jwt.encode(claims, self.keys[self.algorithm], algorithm=self.algorithm, headers=headers)

    def _public(self, name: str) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name(name)
        found: dict[str, Any] = algorithm.to_jwk(self.keys[name].public_key(), as_dict=True)  # type: ignore[attr-defined]
        return found | {"kid": self.key_ids[name], "use": "sig"}
