from tfen.cli.main import main

main()
