"""The web page in a real Chromium, beside a real coordinator; and the pictures of it that the docs show."""
