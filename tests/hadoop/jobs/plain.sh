while read -r first rest; do echo "no interpreter named: $first"; done
